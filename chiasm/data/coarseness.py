"""Motion that is lost where actions are written with few decimals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from chiasm.actions import ActionFormat

_WIDER = (4, 16)
"""Multiples of the horizon over which motion is tested that one action does not show."""
_STEADINESS = 1.5
"""Least power of time in the growth of squares: 0 for jitter, 1 for a random walk, 2 for a line."""
_FAR = 64
_WORTH_TELLING = 0.1
_GOOD = 0.05
_TOLD = {
    "pose": (
        "no distance, or one that is wrong by more than half, although it moves",
        "no turn, or one that is wrong by more than half, although it turns",
    ),
    "keys": ("no distance although it moves", "no turn although it turns"),
}


def steps_between(before_N3: np.ndarray, after_N3: np.ndarray) -> np.ndarray:
    """Returns float64 [N, 3]: :func:`chiasm.poses.relative_pose` of many poses at once."""
    east, north = (after_N3 - before_N3)[:, :2].T
    yaw = np.radians(before_N3[:, 2])
    ahead, left = east * np.cos(yaw) + north * np.sin(yaw), north * np.cos(yaw) - east * np.sin(yaw)
    # Into (-180, 180]. The second remainder is for tiny negatives, whose first one rounds to 360.
    turn = 180.0 - (180.0 - after_N3[:, 2] + before_N3[:, 2]) % 360.0 % 360.0
    return np.column_stack([ahead, left, turn])


class Lost(NamedTuple):
    """Shares of actions whose text loses the distance travelled, and the angle turned."""

    distance: float
    angle: float


def shares_lost(walks: Sequence[np.ndarray], horizons: Iterable[int], form: ActionFormat) -> Lost:
    """Returns the shares of actions written without distance or angle although the walk moves.

    A part (distance or angle) is lost where it is written as zero or, in numbers, with an error of
    more than half of it. A walk moves where the part grows with time over 4 or 16 horizons around
    the action, and is written as more than zero over 64: jitter does not grow, and a random walk
    grows with the square root of time.

    Args:
        walks: poses [T, 3] of each walk, in metres and degrees.
        horizons: numbers of recorded frames that an action spans; all count alike.
    """
    lost_2, total = np.zeros(2), 0
    for frames in horizons:
        for poses_T3 in walks:
            if len(poses_T3) <= frames:
                continue
            steps_N3 = steps_between(poses_T3[:-frames], poses_T3[frames:])
            total += len(steps_N3)
            unwritten_N2 = _unwritten(steps_N3, form)
            if unwritten_N2.any():
                lost_2 += (unwritten_N2 & _moves(poses_T3, frames, form)).sum(0)
    return Lost(*(lost_2 / max(total, 1)).tolist())


def _parts(steps_N3: np.ndarray) -> np.ndarray:
    """Returns the distance and absolute angle of each step: float64 [N, 2]."""
    turn_N = 180.0 - np.abs(180.0 - np.abs(steps_N3[:, 2]))
    return np.column_stack([np.hypot(steps_N3[:, 0], steps_N3[:, 1]), turn_N])


def _unwritten(steps_N3: np.ndarray, form: ActionFormat) -> np.ndarray:
    """Returns whether distance and angle are not zero and lost when written: bool [N, 2]."""
    parts_N2, written_N3 = _parts(steps_N3), form.written(steps_N3)
    wrong_N2 = _parts(written_N3) == 0
    if form.style == "pose":
        wrong_N2 |= _parts(written_N3 - steps_N3) > parts_N2 / 2
    return wrong_N2 & (parts_N2 > 0)


def _moves(poses_T3: np.ndarray, frames: int, form: ActionFormat) -> np.ndarray:
    """Returns whether the walk moves and turns around each action, however slowly: bool [N, 2]."""
    own_N2, _ = _parts_over(poses_T3, frames, 1)
    moves_N2 = np.zeros(own_N2.shape, bool)
    for times in _WIDER:
        wider_N2, reached_N1 = _parts_over(poses_T3, frames, times)
        square_N2, own_square_N2 = (
            np.apply_along_axis(_smooth, 0, part**2, times * frames) for part in (wider_N2, own_N2)
        )
        # Means of squares are compared, as single steps are noisy. Near the ends of a walk fewer
        # horizons were reached than asked for.
        moves_N2 |= square_N2 > reached_N1**_STEADINESS * own_square_N2
    steps_N3 = _steps_over(poses_T3, frames, _FAR)[0]
    return moves_N2 & (_parts(form.written(steps_N3)) > 0)


def _steps_over(poses_T3: np.ndarray, frames: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps over ``times`` horizons around each action, cut at the walk's ends.

    float64 [N, 3], and the number of horizons that there was room for, float64 [N, 1].
    """
    number_N = np.arange(len(poses_T3) - frames)
    around = (times - 1) * frames // 2
    first_N = (number_N - around).clip(0)
    last_N = (number_N + frames + around).clip(max=len(poses_T3) - 1)
    reached_N1 = ((last_N - first_N) / frames)[:, None]
    return steps_between(poses_T3[first_N], poses_T3[last_N]), reached_N1


def _parts_over(poses_T3: np.ndarray, frames: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    steps_N3, reached_N1 = _steps_over(poses_T3, frames, times)
    return _parts(steps_N3), reached_N1


def _smooth(value_N: np.ndarray, width: int) -> np.ndarray:
    """Returns a moving mean over about ``width`` values, fewer at the ends: float64 [N]."""
    sums = np.concatenate([[0.0], value_N.cumsum()])
    first = (np.arange(len(value_N)) - width // 2).clip(0)
    last = (np.arange(len(value_N)) + width // 2 + 1).clip(max=len(value_N))
    return (sums[last] - sums[first]) / (last - first)


def coarseness_notes(
    name: str,
    walks: Sequence[np.ndarray],
    horizons: Sequence[int],
    spacing: int,
    form: ActionFormat,
) -> tuple[str, ...]:
    """Returns a warning per lost part for a source whose actions lose motion, with remedies.

    Arguments as in :func:`shares_lost`; ``spacing`` is the source's ``frame_spacing``.
    """
    shares = shares_lost(walks, horizons, form)
    return tuple(
        f"{share:.0%} of the actions of source {name} are written as {what}; "
        + (
            ", or ".join(_ways(part, walks, horizons, spacing, form))
            or "record with more motion between frames"
        )
        for part, what, share in zip(Lost._fields, _TOLD[form.style], shares, strict=True)
        if share >= _WORTH_TELLING
    )


def _ways(
    part: str,
    walks: Sequence[np.ndarray],
    horizons: Sequence[int],
    spacing: int,
    form: ActionFormat,
) -> Iterable[str]:
    """Yields remedies: the least change of the format, a wider spacing, the unit."""

    def helps(horizons: Sequence[int], form: ActionFormat) -> bool:
        return getattr(shares_lost(walks, horizons, form), part) < _GOOD

    if form.style == "keys":
        yield f"lower actions.{'stride_metres' if part == 'distance' else 'turn_degrees'}"
    else:
        setting = f"{part}_decimals"
        for decimals in range(getattr(form, setting) + 1, 7):
            if helps(horizons, form.model_copy(update={setting: decimals})):
                yield f"raise actions.{setting} to {decimals}"
                break
    for times in (2, 4, 8, 16, 32):
        wider = [times * frames for frames in horizons]
        if any(len(walk) > max(wider) for walk in walks) and helps(wider, form):
            yield f"raise trajectories.frame_spacing to {spacing * times}"
            break
    if part == "distance":
        yield "correct trajectories.metres_per_unit if positions are in another unit"
