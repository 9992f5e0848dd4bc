"""The one exception for what a user can mend; it carries the setting, its value and the remedy.

A component knows its own settings (``path``), and not what a recipe calls them
(``streams.image.path``). So it raises an error that carries names, and whoever composes components
adds the prefix with :func:`settings_of`; the message is worded when it is read. A validator of a
settings class raises :class:`SettingsError`, and :mod:`chiasm.toml` adds the prefix.
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
    """Another setting of the same component, to be named inside a reason or a remedy."""
    return f"\x00{name}\x00"


class UserError(Exception):
    """A user's mistake: the message names the setting, its value and the remedy.

    The command line prints the message alone and exits with status 2; library callers see an
    ordinary exception. Anything else that escapes is a defect of chiasm and keeps its traceback.

    Args:
        why: what is wrong; where a setting is named, the rest of a sentence that begins with it,
            or a sentence that itself names it by :func:`setting`.
        setting: the dotted name of what was set, as the component that raises it calls it.
        value: what it was set to.
        remedy: what would be right.
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
        """Each mistake: this one."""
        return (self,)

    def under(self, prefix: str) -> UserError:
        """The same error where the component's settings stand in the table ``prefix``."""
        renamed = copy(self)
        renamed.why, renamed.remedy = (
            _NAMED.sub(lambda name: setting(f"{prefix}.{name[1]}"), text)
            for text in (self.why, self.remedy)
        )
        renamed.setting = self.setting and f"{prefix}.{self.setting}"
        return renamed

    def at(self, place: str) -> UserError:
        """The same error, told to be in a file, a cell or an option."""
        told = copy(self)
        told._place = f"{place}: {self._place}"
        return told


class SettingsError(UserError, ValueError):
    """A user's mistake that the settings' own validators find: pydantic collects ValueErrors."""


class UserErrors(UserError):
    """Several mistakes in one message, a line each."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self._errors = tuple(errors)

    @property
    def errors(self) -> Sequence[UserError]:
        """Each mistake."""
        return self._errors

    def under(self, prefix: str) -> UserError:
        """Each where the component's settings stand in the table ``prefix``."""
        return UserErrors([error.under(prefix) for error in self.errors])

    def at(self, place: str) -> UserError:
        """Each told to be in a file, a cell or an option."""
        return UserErrors([error.at(place) for error in self.errors])


def joined(errors: Sequence[UserError]) -> UserError:
    """The one mistake, or several as one error."""
    return errors[0] if len(errors) == 1 else UserErrors(errors)


def first_line(error: BaseException) -> str:
    """What another library's error says first; some go on for pages, some say nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def settings_of(prefix: str) -> Iterator[None]:
    """Errors that are raised inside speak of settings of the table ``prefix``."""
    try:
        yield
    except UserError as error:
        raise error.under(prefix) from error


@contextmanager
def found_at(place: str) -> Iterator[None]:
    """Errors that are raised inside are told to be in a file, a cell or an option."""
    try:
        yield
    except UserError as error:
        raise error.at(place) from error


def origin(error: BaseException) -> str:
    """Returns the file and line of a user's own code that an exception came from, for a message.

    It is the last one that is neither this library's nor an installed one's; empty without any.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


_INSTALLED = (
    f"{Path(__file__).parent}{os.sep}",
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<",
)
