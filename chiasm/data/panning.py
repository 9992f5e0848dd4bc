"""Turns estimated from the pictures, to check those of the recorded poses.

A camera that turns left sees everything move right. Poses that are mirrored, upside down or
inverse are plausible by themselves, and only the pictures show that they turn the wrong way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image as PillowImage

from chiasm.data.coarseness import steps_between
from chiasm.errors import UserError
from chiasm.rgb import decoded

_SIDE_PIXELS = 64
_MOST_SHIFT_PIXELS = 16
_TURN_DEGREES = (4.0, 15.0)
"""Turns of this size move a view by a few columns, and most of it stays in the picture."""
_SPANS_FRAMES = (1, 2, 3, 4, 6, 8, 16, 32)
_MOST_PAIRS = 40
_MOST_CANDIDATES = 160
_LEAST_PAIRS = 8
_CLEAR = 0.15
"""Share of the difference between two pictures that the best shift must remove."""
_MOST_AGREEMENT = 0.2


class Filmed(Protocol):
    """Frames and where they were taken: :class:`~chiasm.data.trajectories.Trajectory`."""

    @property
    def folder(self) -> Path: ...

    @property
    def poses_T3(self) -> np.ndarray: ...

    @property
    def files(self) -> list[Path]: ...


class _Pair(NamedTuple):
    """Two frames of a trajectory with a turn between them.

    The first field is the distance per degree, in metres: pairs sort by it, and turns on the spot
    come first, since a view also moves with the camera's place.
    """

    way_per_degree: float
    trajectory: int
    before: int
    after: int
    turn_degrees: float


def refuse_turns_that_pictures_deny(name: str, trajectories: Sequence[Filmed]) -> None:
    """Raises a UserError if views nearly always move against the turns of the poses.

    At most 40 pairs of frames are compared, of those with the least distance per degree. Pictures
    without a clear shift, such as walls of one colour, do not count, and with fewer than 8 clear
    pairs nothing is refused.
    """
    denied, told = _denied(trajectories)
    if not _most(denied, told):
        return
    pair = denied[0]
    trajectory = trajectories[pair.trajectory]
    side = "left" if pair.turn_degrees > 0 else "right"
    raise UserError(
        f"source {name!r}: the poses turn the other way than the pictures, in {len(denied)} of "
        f"{told} pairs of frames; in {trajectory.folder} from {trajectory.files[pair.before].name} "
        f"to {trajectory.files[pair.after].name} they say {abs(pair.turn_degrees):.0f} degrees to "
        f"the {side}, and what is seen moves to the {side} too, not away from there. If the poses "
        'are inverse (world-to-camera matrices), set trajectories.pose = "world_to_camera"; if '
        "their axes are others, set trajectories.camera_axes and world_axes; yaw of traj_data "
        "must turn counter-clockwise seen from above; and pictures must not be mirrored or upside "
        "down"
    )


def pictures_deny(trajectory: Filmed) -> bool:
    """Returns whether :func:`refuse_turns_that_pictures_deny` would refuse a trajectory."""
    return _most(*_denied([trajectory]))


def _most(denied: list[_Pair], told: int) -> bool:
    return told >= _LEAST_PAIRS and len(denied) >= (1 - _MOST_AGREEMENT) * told


def _denied(trajectories: Sequence[Filmed]) -> tuple[list[_Pair], int]:
    """Returns the pairs that turn the other way in the pictures, and the number of clear pairs."""
    denied, told = [], 0
    for pair in _pairs(trajectories):
        files = trajectories[pair.trajectory].files
        try:
            shift = _shift(*(_small(files[number]) for number in (pair.before, pair.after)))
        except UserError:  # no picture: the stream skips and counts it
            continue
        told += bool(shift)
        # A turn to the left (positive) moves the view to the right (positive): equal signs agree.
        if shift * pair.turn_degrees < 0:
            denied.append(pair)
    return denied, told


def _pairs(trajectories: Sequence[Filmed]) -> list[_Pair]:
    """Returns at most one pair per first frame, of those with the least distance per degree."""
    found: dict[tuple[int, int], _Pair] = {}
    for number, trajectory in enumerate(trajectories):
        for span in _SPANS_FRAMES:
            poses_T3 = trajectory.poses_T3
            if len(poses_T3) <= span:
                continue
            steps_N3 = steps_between(poses_T3[:-span], poses_T3[span:])
            turn_N = np.abs(steps_N3[:, 2])
            fitting = np.flatnonzero((turn_N >= _TURN_DEGREES[0]) & (turn_N <= _TURN_DEGREES[1]))
            way_N = np.hypot(steps_N3[fitting, 0], steps_N3[fitting, 1]) / turn_N[fitting]
            for before in fitting[np.argsort(way_N)[:_MOST_CANDIDATES]].tolist():
                dx, dy, turn = steps_N3[before].tolist()
                pair = _Pair(np.hypot(dx, dy) / abs(turn), number, before, before + span, turn)
                found[number, before] = min(pair, found.get((number, before), pair))
    # The best alone may all be of one place: of those that are good enough, evenly spread ones.
    best = sorted(found.values())[:_MOST_CANDIDATES]
    spread = sorted(best, key=lambda pair: (pair.trajectory, pair.before))
    return spread[:: max(1, len(spread) // _MOST_PAIRS)][:_MOST_PAIRS]


def _small(file: Path) -> np.ndarray:
    """Returns the picture in grey: float64 [64, 64]."""
    grey = PillowImage.fromarray(decoded(file)).convert("L")
    return np.asarray(grey.resize((_SIDE_PIXELS, _SIDE_PIXELS)), np.float64)


def _shift(before: np.ndarray, after: np.ndarray) -> int:
    """Returns the columns by which the view moves to the right; 0 where that is not clear."""
    differences = []
    for shift in range(-_MOST_SHIFT_PIXELS, _MOST_SHIFT_PIXELS + 1):
        # The columns of `before` that lie inside `after` when they are moved by `shift`.
        left, right = max(0, -shift), _SIDE_PIXELS - max(0, shift)
        moved = after[:, left + shift : right + shift]
        differences.append(float(np.abs(before[:, left:right] - moved).mean()))
    # The shift 0 stands in the middle. A minimum at either end may lie beyond it.
    best = int(np.argmin(differences))
    at_the_end = best in (0, 2 * _MOST_SHIFT_PIXELS)
    clear = differences[best] < (1 - _CLEAR) * differences[_MOST_SHIFT_PIXELS]
    return best - _MOST_SHIFT_PIXELS if clear and not at_the_end else 0
