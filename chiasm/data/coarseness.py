"""Motion that is lost where actions are written with few decimals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from chiasm.actions import ActionFormat

_WIDER = 16
"""So many steps together tell whether a walk moves where a single one is written as no motion."""
_WORTH_TELLING = 0.1
_GOOD = 0.05


def steps_between(before_N3: np.ndarray, after_N3: np.ndarray) -> np.ndarray:
    """float64 [N, 3]: :func:`chiasm.poses.relative_pose` of many poses."""
    east, north = (after_N3 - before_N3)[:, :2].T
    yaw = np.radians(before_N3[:, 2])
    ahead, left = east * np.cos(yaw) + north * np.sin(yaw), north * np.cos(yaw) - east * np.sin(yaw)
    turn = 180.0 - (180.0 - after_N3[:, 2] + before_N3[:, 2]) % 360.0 % 360.0
    return np.column_stack([ahead, left, turn])


def share_lost(walks: Sequence[np.ndarray], horizons: Iterable[int], form: ActionFormat) -> float:
    """Share of the actions that are written as no motion although the walk moves there.

    A walk stands where the poses are the same, or where 16 times the horizon around the action is
    written as no motion too: what jitters is not lost.

    Args:
        walks: poses [T, 3] of each, in metres and degrees.
        horizons: recorded frames from one frame to the next of an action; all count alike.
    """
    lost = total = 0
    for frames in horizons:
        for poses_T3 in walks:
            if len(poses_T3) <= frames:
                continue
            steps_N3 = steps_between(poses_T3[:-frames], poses_T3[frames:])
            total += len(steps_N3)
            number_M = np.flatnonzero(form.writes_none(steps_N3) & (steps_N3 != 0).any(1))
            around = (_WIDER - 1) * frames // 2
            first_M = (number_M - around).clip(0)
            last_M = (number_M + frames + around).clip(max=len(poses_T3) - 1)
            wider_M3 = steps_between(poses_T3[first_M], poses_T3[last_M])
            lost += int((~form.writes_none(wider_M3)).sum())
    return lost / total if total else 0.0


def coarseness_note(
    name: str,
    walks: Sequence[np.ndarray],
    horizons: Sequence[int],
    spacing: int,
    form: ActionFormat,
) -> str:
    """What to tell of a source whose actions lose motion, with settings that help, or nothing."""
    share = share_lost(walks, horizons, form)
    if share < _WORTH_TELLING:
        return ""
    ways = [*_finer(walks, horizons, form)]
    for times in (2, 4, 8, 16, 32):
        wider = [times * frames for frames in horizons]
        if share_lost(walks, wider, form) < _GOOD and any(len(w) > max(wider) for w in walks):
            ways.append(f"raise trajectories.frame_spacing to {spacing * times}")
            break
    remedy = ", or ".join(ways) or "record with more motion between frames"
    return (
        f"{share:.0%} of the actions of source {name} are written as no motion although it moves; "
        f"{remedy}"
    )


def _finer(
    walks: Sequence[np.ndarray], horizons: Sequence[int], form: ActionFormat
) -> Iterable[str]:
    """The least change of the format that helps."""
    if form.style == "keys":
        yield "lower actions.stride_metres and actions.turn_degrees"
        return
    for more in range(1, 7):
        for both in (False, True):
            change = {"distance_decimals": form.distance_decimals + more}
            if both:
                change["angle_decimals"] = form.angle_decimals + more
            if max(change.values()) > 6:
                return
            if share_lost(walks, horizons, form.model_copy(update=change)) < _GOOD:
                yield "raise " + " and ".join(f"actions.{k} to {v}" for k, v in change.items())
                return
