"""The exception for mistakes of users; it carries the setting, its value and the remedy.

A component knows the names of its own settings (``path``), but not their names in a recipe
(``streams.image.path``). So it raises an error with its own names, and the code that composes
components adds the prefix with :func:`settings_of`; the message is built when it is printed. A
validator of a settings class raises :class:`SettingsError`, and :mod:`chiasm.toml` adds the prefix.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

_UNSAID = object()
_NAMED = re.compile("\x00([^\x00]*)\x00")


def setting(name: str) -> str:
    """Returns a marked name of a setting of the same component, for use in a reason or a remedy."""
    return f"\x00{name}\x00"


class UserError(Exception):
    """A user's mistake: the message names the setting, its value and the remedy.

    The command line prints only the message and exits with status 2; callers of the library get an
    ordinary exception. Any other exception is a defect of chiasm and keeps its traceback.

    Args:
        why: reason; if ``setting`` is given, the rest of a sentence that begins with its name, or a
            sentence that itself names it by :func:`setting`.
        setting: dotted name of the setting within the component that raises it.
        value: value of the setting.
        remedy: advice on how to correct it.
    """

    def __init__(
        self, why: str, *, setting: str = "", value: Any = _UNSAID, remedy: str = ""
    ) -> None:
        super().__init__(why)
        self.why, self.setting, self.remedy = why, setting, remedy
        self.value = None if value is _UNSAID else value
        self._told = f" = {value!r}" if value is not _UNSAID else ""
        self._place = ""

    def __str__(self) -> str:
        unnamed = not self.setting or setting(self.setting) in self.why
        head = "" if unnamed else f"{self.setting}{self._told}"
        gap = "" if not head or self.why.startswith((",", ":", ";")) else " "
        tail = f"; {self.remedy}" if self.remedy else ""
        return _NAMED.sub(r"\1", f"{self._place}{head}{gap}{self.why}{tail}")

    @property
    def errors(self) -> Sequence[UserError]:
        """All mistakes: this one alone."""
        return (self,)

    def under(self, prefix: str) -> UserError:
        """Returns the error with names of settings in the table ``prefix``."""
        renamed = copy(self)
        renamed.why, renamed.remedy = (
            _NAMED.sub(lambda name: setting(f"{prefix}.{name[1]}"), text)
            for text in (self.why, self.remedy)
        )
        renamed.setting = self.setting and f"{prefix}.{self.setting}"
        return renamed

    def at(self, place: str) -> UserError:
        """Returns the error with the place of the mistake, such as a file, a cell or an option."""
        told = copy(self)
        told._place = f"{place}: {self._place}"
        return told


class SettingsError(UserError, ValueError):
    """A user's mistake found by validators of settings: pydantic collects ValueErrors."""


class UserErrors(UserError):
    """Several mistakes in one message, one per line."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self._errors = tuple(errors)

    @property
    def errors(self) -> Sequence[UserError]:
        """All mistakes."""
        return self._errors

    def under(self, prefix: str) -> UserError:
        """Returns the errors with names of settings in the table ``prefix``."""
        return UserErrors([error.under(prefix) for error in self.errors])

    def at(self, place: str) -> UserError:
        """Returns the errors with the place of the mistakes."""
        return UserErrors([error.at(place) for error in self.errors])


class OtherRankError(Exception):
    """Another rank has failed and tells why; this one ends with it and says nothing.

    ``mistake``: whether the other failed by a user's mistake, and not by a defect.
    """

    def __init__(self, told: str, *, mistake: bool) -> None:
        super().__init__(told)
        self.mistake = mistake


class RankLostError(Exception):
    """Another rank was killed, or does not answer; the message is for the user."""


def joined(errors: Sequence[UserError]) -> UserError:
    """Returns a single mistake unchanged, or several as one error."""
    return errors[0] if len(errors) == 1 else UserErrors(errors)


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's error, or its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def settings_of(prefix: str) -> Iterator[None]:
    """Adds the table ``prefix`` to the names of settings in errors raised inside."""
    try:
        yield
    except UserError as error:
        raise error.under(prefix) from error


@contextmanager
def found_at(place: str) -> Iterator[None]:
    """Adds a place, such as a file, a cell or an option, to errors raised inside."""
    try:
        yield
    except UserError as error:
        raise error.at(place) from error


def origin(error: BaseException) -> str:
    """Returns the file and line of a user's own code that an exception came from, for a message.

    It is the last frame that is neither of this library nor of an installed one; empty without any.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


_INSTALLED = (
    f"{Path(__file__).parent}{os.sep}",
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<",
)
