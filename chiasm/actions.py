"""Actions as text: the format, precision and parsing of steps.

An action is one of four kinds of text:

- a relative pose with its horizon, ``action: dx=+0.34 dy=-0.02 dyaw=+12 rel_t=+4``: metres ahead,
  metres to the left, degrees counter-clockwise, and how many frames later. A step to the next
  frame has no ``rel_t``;
- controls, ``action: steering=+0.47 throttle=0.50``: named numbers, by the one rule of
  :mod:`chiasm.controls`;
- keys, ``action: WA``: W ahead, S back, A turns left, D turns right;
- an instruction, any other sentence, ``action: go to the red torch``, without a pose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from chiasm.controls import (
    ControlSettings,
    names_controls,
    read_controls,
    refuse_wrong_names,
    write_controls,
)
from chiasm.errors import UserError
from chiasm.poses import Pose, relative_pose, wrap_degrees
from chiasm.settings import Settings

PREFIX = "action: "
"""Begins every action: it marks the text after a picture as one."""

_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+))"
_POSE = re.compile(rf"dx={_NUMBER},? dy={_NUMBER},? dyaw={_NUMBER}(?:,? rel_t={_NUMBER})?(?![\d.])")
STANDING = "-"
"""The key that goes nowhere."""
"""Text of an action without keys."""
_KEYS = re.compile(rf"({STANDING}|[WASD]{{1,4}})(?: rel_t={_NUMBER})?")


@dataclass(frozen=True, slots=True)
class Action:
    """A relative pose, and the number of frames until it is reached."""

    dx_metres: float
    """Ahead."""
    dy_metres: float
    """To the left."""
    dyaw_degrees: float
    """Counter-clockwise."""
    horizon_frames: int = 1
    """How many frames later; negative: earlier."""

    @classmethod
    def between(cls, before: Pose, after: Pose, horizon_frames: int = 1) -> Action:
        """Returns the action that leads from one pose to another."""
        return cls(*relative_pose(before, after), horizon_frames)

    @property
    def step(self) -> tuple[float, float, float]:
        """(dx, dy, dyaw) in metres and degrees, as for :func:`chiasm.poses.compose`."""
        return self.dx_metres, self.dy_metres, self.dyaw_degrees


class ActionFormat(Settings):
    """How actions are written; a run has one format, whichever source an action comes from."""

    style: Literal["pose", "keys"] = "pose"
    """Relative poses in numbers, or the keys nearest to them."""
    distance_decimals: int = Field(2, ge=0, le=6)
    """Of dx and dy, in metres."""
    angle_decimals: int = Field(0, ge=0, le=6)
    """Of dyaw, in degrees."""
    time_unit_frames: int = Field(1, ge=1)
    """Frames that ``rel_t`` counts as one, with decimals that tell frames apart; Navigation World
    Models use 128."""
    stride_metres: float = Field(1.0, gt=0)
    """What W and S go; half of it is the least distance that is written as a key."""
    turn_degrees: float = Field(20.0, gt=0, le=90)
    """What A and D turn; half of it is the least angle that is written as a key."""
    controls: dict[str, ControlSettings] = Field({})
    """Named numbers of the actions of recordings, in the order in which they are written; a source
    has some of them or all."""

    @field_validator("controls")
    @classmethod
    def _check_controls(cls, value: dict[str, ControlSettings]) -> dict[str, ControlSettings]:
        refuse_wrong_names(value)
        return value

    def write(self, action: Action) -> str:
        """Returns the action's text; actions that are equal as rounded have equal texts."""
        words = self._keys(action) if self.style == "keys" else self._pose(action)
        if action.horizon_frames != 1:
            time = action.horizon_frames / self.time_unit_frames
            words += f" rel_t={_signed(time, self._time_decimals)}"
        return PREFIX + words

    def read(self, text: str) -> Action:
        """Returns the first relative pose in ``text``, or the action of the keys it consists of.

        Both are read in either style, with or without the leading ``action:``; a comma may follow a
        number.

        Raises:
            UserError: it has neither, or a number is not finite.
        """
        words = _words(text)
        if match := _POSE.search(words):
            dx, dy, dyaw = (float(match[part]) for part in (1, 2, 3))
            return self._checked(Action(dx, dy, dyaw, self._frames(match[4], text)), text)
        match = _KEYS.fullmatch(words)
        if match is None:
            names = ("dx", "dy", "dyaw")
            lacking = [n for n in names if not re.search(rf"\b{n}={_NUMBER}", words)]
            why = f" ({' and '.join(lacking)} without a number)" if len(lacking) in (1, 2) else ""
            raise UserError(
                f"action {text!r} cannot be read{why}: write it as "
                f"'{self.write(Action(0.34, -0.02, 12))}', or in keys, as 'action: WA'"
            )
        ahead, left = (match[1].count(a) - match[1].count(b) for a, b in ("WS", "AD"))
        dx, dyaw = ahead * self.stride_metres, left * self.turn_degrees
        return self._checked(Action(dx, 0.0, dyaw, self._frames(match[2], text)), text)

    def write_controls(self, numbers: Mapping[str, float]) -> str:
        """Returns the text of controls by their names.

        Raises:
            UserError: there are none, one is unknown, not finite or out of its range.
        """
        return PREFIX + write_controls(numbers, self.controls)

    def names_controls(self, text: str) -> bool:
        """Returns whether a text gives a number to a control of the recipe."""
        return names_controls(_words(text), self.controls)

    def read_controls(self, text: str) -> dict[str, float]:
        """Returns the numbers of a text's controls as they are written, in the recipe's order.

        With or without the leading ``action:``, in any order.

        Raises:
            UserError: something else stands in it, or a control is unknown or out of its range.
        """
        return read_controls(_words(text), self.controls)

    def written(self, steps_N3: np.ndarray) -> np.ndarray:
        """Returns steps (dx, dy, dyaw) after writing and reading them: float64 [N, 3]."""
        if self.style == "keys":
            unit = np.array([self.stride_metres, np.inf, self.turn_degrees])
            pressed_N3 = np.sign(steps_N3) * (np.abs(steps_N3) >= unit / 2)
            return pressed_N3 * [self.stride_metres, 0.0, self.turn_degrees]
        way_N2 = np.round(steps_N3[:, :2], self.distance_decimals)
        return np.column_stack([way_N2, np.round(steps_N3[:, 2], self.angle_decimals)])

    @property
    def _time_decimals(self) -> int:
        """One more than tell single frames apart; whole frames need none."""
        unit = self.time_unit_frames
        return 1 + math.ceil(math.log10(unit)) if unit > 1 else 0

    def _pose(self, action: Action) -> str:
        dx, dy = (
            _signed(value, self.distance_decimals) for value in (action.dx_metres, action.dy_metres)
        )
        # Wrapped again, since rounding turns angles just above -180 into -180.
        dyaw = wrap_degrees(round(wrap_degrees(action.dyaw_degrees), self.angle_decimals))
        return f"dx={dx} dy={dy} dyaw={_signed(dyaw, self.angle_decimals)}"

    def _keys(self, action: Action) -> str:
        strides = action.dx_metres / self.stride_metres
        turns = wrap_degrees(action.dyaw_degrees) / self.turn_degrees
        ahead = "W" if strides >= 0.5 else "S" if strides <= -0.5 else ""
        turn = "A" if turns >= 0.5 else "D" if turns <= -0.5 else ""
        return ahead + turn or STANDING

    def _frames(self, time: str | None, text: str) -> int:
        if not time:
            return 1
        frames = round(float(time) * self.time_unit_frames) if math.isfinite(float(time)) else 0
        if not frames:
            raise UserError(f"action {text!r}: rel_t={time} is no frame but the one it starts from")
        return frames

    def _checked(self, action: Action, text: str) -> Action:
        if not all(math.isfinite(value) for value in action.step):
            raise UserError(f"action {text!r} has a number that is not finite")
        return action


def _words(text: str) -> str:
    return text.strip().removeprefix(PREFIX.strip()).strip()


def _signed(value: float, decimals: int) -> str:
    # Adding zero turns a rounded -0.0 into 0.0, so that equal numbers have equal texts.
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"


def marked(words: str, number: int, num_steps: int) -> str:
    """Returns an instruction with its progress, from 1: ``action: go to the red torch [2/5]``."""
    return f"{PREFIX}{words} [{number}/{num_steps}]"
