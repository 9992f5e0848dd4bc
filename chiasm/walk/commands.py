"""What is pressed or typed, as the words that the model reads before the next view."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chiasm.actions import PREFIX, Action, ActionFormat, marked
from chiasm.errors import UserError

MOST_VIEWS = 40
"""Views over which one instruction may be spread; training spreads it over 40 steps at most."""
MOST_CHARACTERS = 300
FARTHEST_METRES, WIDEST_DEGREES = 100.0, 180.0
"""A step beyond is a slip of the finger; training never wrote a turn beyond half a circle."""

_KEYS = re.compile(r"[wasd]{1,4}|-", re.IGNORECASE)
_POSE = re.compile(r"\b(?:dx|dy|dyaw|rel_t)\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """What the model reads before one view."""

    text: str
    """As training wrote it."""
    action: Action | None
    """The step that the text names; an instruction names none."""
    words: str = ""
    """Of an instruction, without its mark."""
    number: int = 1
    """Which view of the instruction comes next, from 1 on."""

    def goes_on_after(self, before: Command) -> bool:
        """Whether a training document may hold both, this one right behind the other.

        Numeric actions follow each other; an instruction fills a document of its own.
        """
        if self.action is not None:
            return before.action is not None
        return self.number > 1 and (before.words, before.number) == (self.words, self.number - 1)


def read_command(
    typed: str,
    actions: ActionFormat,
    *,
    horizon_frames: tuple[int, int] = (1, 1),
    number: int = 1,
    of: int = 1,
) -> Command:
    """A pose, keys (in either case), or else an instruction.

    Args:
        typed: with or without the leading ``action:``.
        actions: how the model's training wrote its steps; poses and keys are written again so.
        horizon_frames: nearest and farthest next view of the model's training.
        number: which view of an instruction comes next.
        of: over how many views the instruction is spread.

    Raises:
        UserError: nothing is typed, or no text, it looks like a pose and is none, keys cancel each
            other, the step is absurd or leads to a frame that training never showed, or ``number``
            and ``of`` are out of bounds.
    """
    words = " ".join(typed.split()).removeprefix(PREFIX.strip()).strip()
    if not words:
        raise UserError("nothing was typed; write a pose, keys such as WA, or what to do")
    if any("\ud800" <= letter <= "\udfff" for letter in words):  # halves of one, or broken bytes
        raise UserError("what was typed is no text: it has characters that UTF-8 cannot write")
    if len(words) > MOST_CHARACTERS:
        raise UserError(f"{len(words)} characters are too many; write at most {MOST_CHARACTERS}")
    if _KEYS.fullmatch(words) or _POSE.search(words):
        action = actions.read(_upper_keys(words))
        text = actions.write(_sensible(action, horizon_frames))
        return Command(text, actions.read(text))
    if not 1 <= number <= of <= MOST_VIEWS:
        raise UserError(
            f"view {number} of {of} of an instruction: count from 1, to {MOST_VIEWS} at most"
        )
    return Command(marked(words, number, of), None, words, number)


def _upper_keys(words: str) -> str:
    """A pose as it is; keys in capitals, if they lead somewhere."""
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
