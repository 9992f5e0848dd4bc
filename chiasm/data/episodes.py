"""Recorded episodes: pictures in order of time, and the controls that were given at each.

What was given at a frame leads away from it. Episodes of one group (a session, a drive) are on one
side of the split; the last stretch of a single group is held out.

Shape suffixes: T frames of an episode, A controls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chiasm.controls import ControlSettings
from chiasm.data.survey import draw, hashed
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.rgb import Given
from chiasm.settings import Settings


class RecordedControl(Settings):
    """Where a control is recorded."""

    column: str = ""
    """Column of a catalog, or name (or number) within a LeRobot feature; empty: the control's own
    name."""
    factor: float = 1.0
    """From the recorded unit, and sense, to the control's."""


@dataclass(frozen=True)
class Episode:
    """T frames in order of time, and the controls given at each."""

    name: str
    frames: Sequence[Given]
    """A picture for each frame, not decoded yet."""
    controls_TA: np.ndarray
    """float64 [T, A]; NaN where a control is missing, not finite or out of its range."""
    identity: bytes
    """Hash of what was recorded beside the pictures: equal for copies of one recording."""
    group: str = ""
    """What is held out as a whole."""
    task: str = ""
    """What was to be done, in words."""

    def __len__(self) -> int:
        return len(self.controls_TA)

    def part(self, begin: int, end: int) -> Episode:
        """Returns the frames from ``begin`` to before ``end``, with the identity of the whole."""
        return replace(
            self,
            name=f"{self.name}, frames {begin} to {end - 1}",
            frames=_Stretch(self.frames, begin, end),
            controls_TA=self.controls_TA[begin:end],
        )


class _Stretch(Sequence[Given]):
    """Some of an episode's frames, none of which is read before it is asked for."""

    def __init__(self, frames: Sequence[Given], begin: int, end: int) -> None:
        self._frames, self._numbers = frames, range(begin, end)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> Given:  # type: ignore[override]
        return self._frames[self._numbers[number]]


@dataclass(frozen=True)
class Recordings:
    """All episodes under one path."""

    episodes: tuple[Episode, ...]
    rows: int
    """Recorded frames, unusable ones included."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Number of unusable frames by reason."""
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Files that were read, relative to the path."""
    fingerprint: str = ""
    """Hash of everything that documents are made of."""
    frames_per_second: float | None = None
    held_out: frozenset[str] = frozenset()
    """Groups that the recording itself sets apart; empty: a share is."""
    read_from: str = ""
    """Columns or features of pictures and controls, in words."""

    @property
    def groups(self) -> dict[str, list[Episode]]:
        """Episodes by their group, in order."""
        found: dict[str, list[Episode]] = {}
        for episode in self.episodes:
            found.setdefault(episode.group, []).append(episode)
        return found


def usable_controls(
    recorded_TA: np.ndarray,
    names: Sequence[str],
    settings: Mapping[str, ControlSettings],
    skipped: Counter[str],
) -> np.ndarray:
    """Returns controls with NaN for those that cannot be written: float64 [T, A].

    A frame is counted in ``skipped`` once, by its first unusable control.
    """
    checked_TA = recorded_TA.astype(np.float64)
    counted_T = np.zeros(len(checked_TA), bool)
    for number, name in enumerate(names):
        own, value_T = settings[name], checked_TA[:, number]
        finite_T = np.isfinite(value_T)
        inside_T = finite_T.copy()
        inside_T[finite_T] = [not own.wrong(value) for value in value_T[finite_T].tolist()]
        for bad_T, why in (
            (~finite_T, f"{name} is missing or not finite"),
            (finite_T & ~inside_T, f"{name} outside actions.controls.{name}.range"),
        ):
            new_T = bad_T & ~counted_T
            if new_T.any():
                skipped[why] += int(new_T.sum())
            counted_T |= bad_T
        checked_TA[~inside_T, number] = np.nan
    return checked_TA


def refuse_mostly_unusable(found: Recordings) -> None:
    """Raises a UserError if most frames are unusable, which means that a setting is wrong."""
    bad = sum(found.skipped.values())
    if not found.episodes or 4 * bad > 3 * found.rows:
        reasons = ", ".join(f"{why}: {count:,}" for why, count in found.skipped.items())
        why = f": {bad:,} of {found.rows:,} recorded frames cannot be used ({reasons or 'none'})"
        raise UserError(why, setting="path", remedy="check it, and the settings of the controls")


def one_side(
    found: Recordings, share: float, gap_frames: int, split: Split
) -> tuple[tuple[Episode, ...], tuple[str, ...]]:
    """Returns the episodes of one side, and notes on how they were chosen.

    Args:
        found: all episodes.
        share: of groups that are held out, at least one and never all; of a single group, of its
            frames, the last ones.
        gap_frames: frames that are left out before those.
        split: which side.

    Raises:
        UserError: there are too few frames for two sides.
    """
    if found.held_out:
        note = f"held out: {', '.join(sorted(found.held_out))}, as the recording has it"
        if len(found.held_out) > 3:
            note = f"held out: {len(found.held_out)} episodes, as the recording has it"
        own = [e for e in found.episodes if (e.group in found.held_out) == (split != "train")]
        return tuple(own), (note,)
    groups = found.groups
    draws = {
        group: float(draw(np.array(hashed(b"".join(e.identity for e in episodes)))))
        for group, episodes in groups.items()
    }
    distinct = sorted(set(draws.values()))
    if len(distinct) == 1:
        [first, *copies] = groups.values()
        return _stretch(first, len(copies), share, gap_frames, split)
    bound = sorted(draws.values())[max(1, round(share * len(draws))) - 1]
    bound = min(bound, distinct[-2])  # at least one is left to train on
    own = [e for e in found.episodes if (draws[e.group] <= bound) == (split != "train")]
    return tuple(own), ()


def apart(
    train: Sequence[Episode], held_out: Sequence[Episode]
) -> tuple[tuple[Episode, ...], tuple[str, ...]]:
    """Returns training episodes that are not held out too, and a note if any were.

    Raises:
        UserError: none is left.
    """
    known = {episode.identity for episode in held_out}
    left = tuple(episode for episode in train if episode.identity not in known)
    if not left:
        why = ": every episode to train on is held out too"
        raise UserError(why, setting="path", remedy="give the two sides different recordings")
    doubled = len(train) - len(left)
    note = f"{doubled} of {len(train)} episodes are held out too and are left out of training"
    return left, (note,) if doubled else ()


def _stretch(
    episodes: Sequence[Episode], copies: int, share: float, gap_frames: int, split: Split
) -> tuple[tuple[Episode, ...], tuple[str, ...]]:
    """Returns one side of a single group: its last frames are held out, after a gap."""
    total = sum(map(len, episodes))
    held = min(max(2, round(share * total)), total - 2)
    if held < 2:
        why = f": {episodes[0].name} is the only recording and has {total} frames, too few to train"
        raise UserError(
            f"{why} on some and hold out others", setting="path", remedy="give more recordings"
        )
    begin = total - held
    gap = min(gap_frames, begin // 4)
    lowest, highest = (begin, total) if split == "held_out" else (0, begin - gap)
    found, first = [], 0
    for episode in episodes:
        low, high = (min(max(bound - first, 0), len(episode)) for bound in (lowest, highest))
        if high > low:
            found.append(episode if high - low == len(episode) else episode.part(low, high))
        first += len(episode)
    note = (
        f"a single recording{f' in {copies + 1} copies' if copies else ''}: frames 0 to "
        f"{begin - gap - 1} are trained on and {begin} to {total - 1} held out; the {gap} between "
        "are left out"
    )
    return tuple(found), (note,)
