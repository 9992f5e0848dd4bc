"""Controls as text: named numbers of an action, ``steering=+0.47 throttle=0.50``.

One rule, whatever the robot: the controls stand in the order of their settings, each as its name
and its number with as many decimals as its settings say, and with a sign unless it can never be
negative. Numbers that are equal as rounded have equal texts, and what is written reads back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pydantic import Field, field_validator

from chiasm.errors import UserError
from chiasm.settings import Settings

_NAME = re.compile(r"[A-Za-z_][\w.]*")
_POSE_NAMES = frozenset({"dx", "dy", "dyaw", "rel_t"})
_PAIR = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*([^\s,;]+),?\s*")

MOST = 1e12
"""Largest size of a control's number: beyond it a float64 has no room for six decimals."""


class ControlSettings(Settings):
    """One named number of an action."""

    unit: str = ""
    """Its unit, told wherever numbers are told to people; a document has the number alone."""
    range: tuple[float, float] | None = None
    """Least and largest number: a recorded step outside is left out and counted. From 0 on, numbers
    have no sign. None: any number."""
    decimals: int = Field(2, ge=0, le=6)
    """Digits behind the point."""

    @field_validator("range")
    @classmethod
    def _check_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"range = {list(value)} must be two rising numbers")
        return value

    @property
    def signed(self) -> bool:
        """Whether numbers are written with a sign."""
        return self.range is None or self.range[0] < 0

    @property
    def told(self) -> str:
        """Range and unit in words."""
        bounds = "any number" if self.range is None else f"{self.range[0]:g} to {self.range[1]:g}"
        return f"{bounds} {self.unit}".strip()

    def rounded(self, number: float) -> float:
        """Returns the number that is written; there is one zero."""
        return round(number, self.decimals) + 0.0

    def wrong(self, number: float) -> str:
        """Returns why a number cannot be written, in few words; empty if it can."""
        if not math.isfinite(number):
            return "is not finite"
        low, high = self.range or (-MOST, MOST)
        # The bounds are rounded too: what was recorded as 1 in float32 may be a little more.
        if not self.rounded(low) <= self.rounded(number) <= self.rounded(high):
            return f"is outside {self.told}" if self.range else "is too large to be written"
        return ""


def refuse_wrong_names(names: Mapping[str, ControlSettings]) -> None:
    """Refuses names that could not be read back.

    Raises:
        ValueError: one has other signs than letters, digits, points and low lines, or is that of a
            part of a pose.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"control {name!r} must be letters, digits, points and low lines")
        if name in _POSE_NAMES:
            raise ValueError(f"control {name!r} is a part of a pose; choose another name")


def write_controls(numbers: Mapping[str, float], settings: Mapping[str, ControlSettings]) -> str:
    """Returns the text of controls, in the order of ``settings``.

    Raises:
        UserError: there are none, a name has no settings, or a number cannot be written.
    """
    if unknown := [name for name in numbers if name not in settings]:
        raise UserError(
            f"control {unknown[0]!r} is unknown; {_known(settings)}", setting="actions.controls"
        )
    words = []
    for name, own in settings.items():
        if name not in numbers:
            continue
        if why := own.wrong(numbers[name]):
            raise UserError(f"control {name}={numbers[name]:g} {why}")
        sign = "+" if own.signed else ""
        words.append(f"{name}={own.rounded(numbers[name]):{sign}.{own.decimals}f}")
    if not words:
        raise UserError("an action without controls cannot be written; give one or more")
    return " ".join(words)


def names_controls(words: str, settings: Mapping[str, ControlSettings]) -> bool:
    """Returns whether a text gives numbers to controls, of these names or of wrong ones.

    A text that has nothing but the parts of a pose does not, and without settings none does.
    """
    return bool(settings) and any(name not in _POSE_NAMES for name, _ in _PAIR.findall(words))


def read_controls(words: str, settings: Mapping[str, ControlSettings]) -> dict[str, float]:
    """Returns the numbers of a text, in the order of ``settings``, rounded as they are written.

    They may stand in any order, with commas or semicolons between them.

    Raises:
        UserError: something else stands in it, a control is unknown or comes twice, or a number
            cannot be written.
    """
    found: dict[str, float] = {}
    rest = words.strip()
    while rest:
        match = _PAIR.match(rest)
        if match is None or match[1] in found:
            why = f"{match[1]} comes twice" if match else f"{rest!r} is no control"
            raise UserError(f"action {words!r} cannot be read ({why}); {_known(settings)}")
        try:
            found[match[1]] = float(match[2])
        except ValueError as error:
            why = f"{match[2]!r} is no number"
            raise UserError(f"action {words!r} cannot be read ({why})") from error
        rest = rest[match.end() :]
    write_controls(found, settings)  # refuses what training could not have shown
    return {name: own.rounded(found[name]) for name, own in settings.items() if name in found}


def _known(settings: Mapping[str, ControlSettings]) -> str:
    if not settings:
        return "the recipe's [actions.controls] names none"
    told = ", ".join(f"{name} ({own.told})" for name, own in settings.items())
    return f"the controls are {told}"
