"""The one exception for what a user can mend; it carries the setting, its value and the remedy.

A component knows its own settings (``path``), and not what a recipe calls them
(``streams.image.path``). So it raises an error that carries names, and whoever composes components
adds the prefix with :func:`settings_of`; the message is worded when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
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
        why: what is wrong; where a setting is named, the rest of a sentence that begins with it.
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

    def __str__(self) -> str:
        head = f"{self.setting}{self._told}" if self.setting else ""
        gap = "" if not head or self.why.startswith((",", ":", ";")) else " "
        tail = f"; {self.remedy}" if self.remedy else ""
        return _NAMED.sub(r"\1", f"{head}{gap}{self.why}{tail}")

    def under(self, prefix: str) -> UserError:
        """The same error where the component's settings stand in the table ``prefix``."""
        renamed = type(self)(
            _NAMED.sub(setting(rf"{prefix}.\1"), self.why),
            setting=self.setting and f"{prefix}.{self.setting}",
            remedy=_NAMED.sub(setting(rf"{prefix}.\1"), self.remedy),
        )
        renamed.value, renamed._told = self.value, self._told
        return renamed


@contextmanager
def settings_of(prefix: str) -> Iterator[None]:
    """Errors that are raised inside speak of settings of the table ``prefix``."""
    try:
        yield
    except UserError as error:
        raise error.under(prefix) from error
