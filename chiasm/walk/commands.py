"""Keys and typed words as the text that the model reads before the next view."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chiasm.actions import PREFIX, Action, ActionFormat, marked
from chiasm.errors import UserError

MOST_VIEWS = 40
"""Most views over which one instruction is spread, as in training."""
MOST_CHARACTERS = 300
FARTHEST_METRES, WIDEST_DEGREES = 100.0, 180.0
"""Bounds of a step: a longer one is a typing error, and training has no wider turns."""

_KEYS = re.compile(r"[wasd]{1,4}|-", re.IGNORECASE)
_POSE = re.compile(r"\b(?:dx|dy|dyaw|rel_t)\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """The text that the model reads before one view, and its meaning."""

    text: str
    """Text in the format of training."""
    action: Action | None
    """Pose that the text leads to; None for controls and for an instruction."""
    words: str = ""
    """Text of an instruction without its mark."""
    number: int = 1
    """Number of the instruction's next view, from 1."""

    @property
    def is_spoken(self) -> bool:
        """Whether it is an instruction; other commands are poses, keys or controls."""
        return bool(self.words)

    def goes_on_after(self, before: Command) -> bool:
        """Returns whether a training document may hold both, this one right after the other.

        Numeric actions share documents; an instruction has documents of its own.
        """
        if not self.is_spoken:
            return not before.is_spoken
        return self.number > 1 and (before.words, before.number) == (self.words, self.number - 1)


def read_command(
    typed: str,
    actions: ActionFormat,
    *,
    horizon_frames: tuple[int, int] = (1, 1),
    poses: bool = True,
    number: int = 1,
    of: int = 1,
) -> Command:
    """Returns the command for a pose, controls, keys (in either case), or else an instruction.

    Args:
        typed: text with or without the leading ``action:``.
        actions: format of steps in training; poses, controls and keys are rewritten in it.
        horizon_frames: smallest and largest horizon in training.
        poses: whether training had poses or keys.
        number: number of the instruction's next view.
        of: number of views over which the instruction is spread.

    Raises:
        UserError: the text is empty, too long or no valid text, looks like a pose and is none, has
            keys that cancel each other, names a step that is too large or of a horizon outside
            training, or a pose where training had controls alone, or ``number`` and ``of`` are out
            of bounds.
    """
    words = " ".join(typed.split()).removeprefix(PREFIX.strip()).strip()
    if not words:
        raise UserError("nothing was typed; write a pose, keys such as WA, or what to do")
    if any("\ud800" <= letter <= "\udfff" for letter in words):  # lone surrogates: broken bytes
        raise UserError("what was typed is no text: it has characters that UTF-8 cannot write")
    if len(words) > MOST_CHARACTERS:
        raise UserError(f"{len(words)} characters are too many; write at most {MOST_CHARACTERS}")
    if actions.names_controls(words):
        return Command(actions.write_controls(actions.read_controls(words)), None)
    if _KEYS.fullmatch(words) or _POSE.search(words):
        if not poses:
            raise UserError(
                f"{words!r} is a pose or a key, and this model learned controls alone: "
                f"{', '.join(f'{name} ({own.told})' for name, own in actions.controls.items())}"
            )
        action = actions.read(_upper_keys(words))
        text = actions.write(_sensible(action, horizon_frames))
        return Command(text, actions.read(text))
    if not 1 <= number <= of <= MOST_VIEWS:
        raise UserError(
            f"view {number} of {of} of an instruction: count from 1, to {MOST_VIEWS} at most"
        )
    return Command(marked(words, number, of), None, words, number)


def _upper_keys(words: str) -> str:
    """Returns a pose unchanged, and keys in capitals, unless they cancel each other."""
    keys, *horizon = words.split()
    if not _KEYS.fullmatch(keys):
        return words
    for one, other in ("WS", "AD"):
        if one in keys.upper() and other in keys.upper():
            raise UserError(f"{keys}: {one} and {other} cancel each other; leave one out")
    return " ".join([keys.upper(), *horizon])


def _sensible(action: Action, horizon_frames: tuple[int, int]) -> Action:
    far = max(abs(action.dx_metres), abs(action.dy_metres))
    if far > FARTHEST_METRES:
        raise UserError(f"a step of {far:g} metres is too far; give {FARTHEST_METRES:g} at most")
    if abs(action.dyaw_degrees) > WIDEST_DEGREES:
        raise UserError(
            f"dyaw={action.dyaw_degrees:g}: turn by {WIDEST_DEGREES:g} degrees at most, either way"
        )
    frames, (nearest, farthest) = action.horizon_frames, horizon_frames
    if frames != 1 and not nearest <= frames <= farthest:
        seen = (
            "the next frame alone; leave rel_t out"
            if nearest == farthest == 1
            else f"frames {nearest} to {farthest} later"
        )
        raise UserError(f"rel_t leads {frames} frames on, and training showed {seen}")
    return action
