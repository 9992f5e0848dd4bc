"""Checks of recorded poses: jumps, impossible headings, axes of another convention.

Poses that are read by the wrong convention (axes, order of a quaternion, the inverse) usually have
traits that no walk has: the camera lies on its side, its heading turns more than the camera does,
it climbs more than it travels, or it travels sideways all the time. A walk with such a trait is
refused, with a message that names the settings under which it has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from chiasm.data.cameras import CONVENTIONS, CameraPoses, GroundWalk, PoseSettings, axes_matrix

_MOST_TILT_DEGREES = 55.0
"""Mean angle between the camera's and the world's up; a camera may look down steeply."""
_LEAST_TURNING_DEGREES = 45.0
"""Less turning in all is no evidence about the axes."""
_MOST_JUMP_DEGREES = 120.0
_PARTS = 20
_SIDEWAYS_DEGREES = 60.0
_STEADY = 0.8
"""Length of the mean direction of travel in the camera's view; 1 if it never changes."""
_DIRECT = 0.9
_STRAIGHTER = 0.05
"""Gain of the forward share that another unit of yaw must bring; 0.05 is 18 degrees aside."""
_LAST_RANK = 3
"""Rank of conventions without a name, tried only if no others pass."""


class _Remedy(NamedTuple):
    """A change of the settings under which a walk passes; the fields are sort keys, in order."""

    not_the_inverse: bool
    rank: int
    behind: float
    """Minus the forward share of the travel, where its direction is steady; else 0."""
    number: int
    turns_left: bool
    change: dict[str, str]


def objection(walk: GroundWalk, settings: PoseSettings) -> str | None:
    """Returns the first trait that no recorded walk has, in words; None if the walk passes.

    Axes that the settings name are trusted further: with the camera's, a walk may look aside or
    back; with the world's, it may climb more than it travels.
    """
    if len(walk.without_heading):
        return f"at frame {walk.without_heading[0]} the camera looks straight up or down"
    tilt = _degrees(np.arccos(walk.rotation_T33[:, 2, 2].clip(-1, 1)).mean())
    if tilt > _MOST_TILT_DEGREES:
        return f"the camera's top points {tilt:.0f} degrees away from the world's up on average"
    found = _of_turning(walk) or _of_tipping(walk)
    if found is None and not settings.world_axes:
        found = _of_motion(walk)
    if found is None and not settings.camera_axes:
        found = _of_travel(walk.poses_T3)
    return found


def settings_without_objection(poses: CameraPoses, settings: PoseSettings) -> list[dict[str, str]]:
    """Returns changes of the settings under which poses pass: the inverse, then simplest first.

    One per kind of change and sense of turning; those that travel forwards are preferred. A walk
    and the same walk upside down have equal traits, so that both senses of turning are returned if
    both have a convention: only the user or the pictures can decide between them.
    """
    found: list[_Remedy] = []
    for number, (rank, change) in enumerate(_changes(poses, settings)):
        if found and rank == _LAST_RANK:
            break
        walk = poses.on_ground(settings.model_copy(update=change))
        if objection(walk, PoseSettings()) is None:
            turns_left = bool(np.unwrap(walk.poses_T3[:, 2])[-1] > walk.poses_T3[0, 2])
            direction = travel(walk.poses_T3)
            # Rounded, so that conventions that go about equally far ahead keep their order.
            ahead = round(direction.real, 1) if abs(direction) > _STEADY else 0.0
            remedy = _Remedy(list(change) != ["pose"], rank, -ahead, number, turns_left, change)
            found.append(remedy)
    # Per sense of turning: those that go ahead if there are any, of these the lowest rank, of
    # these the best of each kind of change (the names of the changed settings).
    best: dict[tuple[object, ...], _Remedy] = {}
    for turns_left in (False, True):
        own = [remedy for remedy in found if remedy.turns_left == turns_left]
        goes_ahead = [remedy for remedy in own if -remedy.behind >= _DIRECT] or own
        simplest = min((remedy.rank for remedy in goes_ahead), default=0)
        for remedy in sorted(goes_ahead):
            if remedy.rank == simplest:
                best.setdefault((*remedy.change, turns_left), remedy)
    return [remedy.change for remedy in sorted(best.values())]


def looks_like_degrees(poses_T3: np.ndarray) -> str | None:
    """Returns why yaw, read as radians, seems to be in degrees; None if it does not.

    Wrapped radians stay between -2π and 2π, and unwrapped ones never jump by more than half a turn.
    A walk that goes ahead only if its yaw is read as degrees is evidence too.
    """
    yaw_T = poses_T3[:, 2]
    raw_S = np.abs(np.diff(yaw_T))
    far = float(np.abs(yaw_T).max(initial=0.0))
    as_degrees_T3 = poses_T3 * [1, 1, np.pi / 180]
    ahead = abs(travel(poses_T3)), abs(travel(as_degrees_T3))
    goes_straighter = ahead[1] > _DIRECT and ahead[0] < 0.5
    if far > 2.01 * np.pi and len(raw_S) and (raw_S.max() > 1.01 * np.pi or raw_S.mean() > 0.5):
        return f"it reaches {far:g} and changes by up to {raw_S.max():.3g} between neighbours"
    if goes_straighter and far > 2.01 * np.pi:
        return f"it reaches {far:g}, and the walk goes where it looks only if these are degrees"
    return None


def looks_like_radians(poses_T3: np.ndarray) -> str | None:
    """Returns why yaw, read as degrees, seems to be in radians; None if it does not.

    Radians read as degrees hardly turn, so that the walk leaves the direction in which it looks.
    """
    as_radians_T3 = poses_T3 * [1, 1, 180 / np.pi]
    ahead = travel(poses_T3).real, travel(as_radians_T3).real
    if ahead[1] > _DIRECT and ahead[0] < ahead[1] - _STRAIGHTER:
        far = _degrees(np.abs(poses_T3[:, 2]).max())
        return f"it reaches {far:.3g} only, and the walk goes where it looks only if it is radians"
    return None


def looks_mirrored(poses_T3: np.ndarray) -> bool:
    """Returns whether the direction of travel is steady only if yaw is taken as clockwise."""
    mirrored_T3 = poses_T3 * [1, 1, -1]
    return abs(travel(mirrored_T3)) > _DIRECT and abs(travel(poses_T3)) < 0.5


def travel(poses_T3: np.ndarray) -> complex:
    """Returns the mean direction of travel in the camera's view, weighted by distance.

    1 is ahead and 1j left. Its length is 1 if the direction never changes, and 0 without travel.
    """
    # Complex numbers: a step times exp(-i yaw) is the step in the camera's frame.
    step_S2 = np.diff(poses_T3[:, :2], axis=0)
    way_S = step_S2[:, 0] + 1j * step_S2[:, 1]
    whole = np.abs(way_S).sum()
    return complex((way_S * np.exp(-1j * poses_T3[:-1, 2])).sum() / whole) if whole else 0j


def _of_turning(walk: GroundWalk) -> str | None:
    angle_S = np.linalg.norm(_turned(walk.rotation_T33), axis=1)
    if len(angle_S) and angle_S.max() > _MOST_JUMP_DEGREES and np.median(angle_S) < 10:
        at = int(angle_S.argmax())
        return f"from frame {at} to {at + 1} the camera jumps by {angle_S[at]:.0f} degrees"
    heading_S = np.diff(np.unwrap(walk.poses_T3[:, 2]))
    turns = _degrees(np.abs(heading_S).sum())
    if turns > 1.5 * angle_S.sum() and turns > 2 * _LEAST_TURNING_DEGREES:
        jump = _degrees(np.abs(heading_S).max())
        return (
            f"the heading turns {turns:,.0f} degrees in all, by up to {jump:.0f} between "
            f"neighbours, and the camera only {angle_S.sum():,.0f}"
        )
    return None


def _of_tipping(walk: GroundWalk) -> str | None:
    """Returns an objection if the camera tips over a level axis far more than it turns, or None.

    Turns are measured over a twentieth of the walk: a camera that is carried sways.
    """
    stride = max(1, len(walk.rotation_T33) // _PARTS)
    *level, upright = np.abs(_turned(walk.rotation_T33[::stride])).sum(0)
    if max(level) > 2.5 * upright and max(level) > _LEAST_TURNING_DEGREES:
        return (
            f"the camera tips over a level axis by {max(level):,.0f} degrees in all, and turns by "
            f"{upright:,.0f} only"
        )
    return None


def _of_motion(walk: GroundWalk) -> str | None:
    *ground, height = walk.position_T3.std(0)
    if height > 1.2 * np.hypot(*ground):
        return (
            "it moves across the ground plane, not along it: heights scatter by "
            f"{height:.3g}, places on the ground by {np.hypot(*ground):.3g}"
        )
    return None


def _of_travel(poses_T3: np.ndarray) -> str | None:
    direction = travel(poses_T3)
    aside = _degrees(np.angle(direction))
    if abs(direction) > _STEADY and abs(aside) > _SIDEWAYS_DEGREES:
        return f"it always goes {abs(aside):.0f} degrees away from where the camera looks"
    return None


def _changes(poses: CameraPoses, settings: PoseSettings) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields other ways to read the poses, the simplest first, each with its rank."""
    camera, world = poses.axes(settings)
    inverse = "camera_to_world" if settings.pose == "world_to_camera" else "world_to_camera"
    yield 0, {"pose": inverse}
    if poses.orientation.ndim == 2:
        order = settings.quaternion_order or poses.quaternion_order
        yield 0, {"quaternion_order": "wxyz" if order == "xyzw" else "xyzw"}
    # Conventions are listed the most usual first; pairs are sorted by the sum of both places.
    cameras = [name for name in CONVENTIONS if name != "enu"]
    worlds = [name for name in CONVENTIONS if name != "pytorch3d"]
    yield from ((0, {"camera_axes": one}) for one in cameras)
    yield from ((0, {"world_axes": one}) for one in worlds)
    both: tuple[dict[str, str], ...] = ({}, {"pose": inverse})
    pairs = sorted(product(enumerate(cameras), enumerate(worlds)), key=lambda p: p[0][0] + p[1][0])
    yield from ((1, {"pose": inverse, "camera_axes": one}) for one in cameras if one != camera)
    yield from ((1, {"pose": inverse, "world_axes": one}) for one in worlds if one != world)
    for more, ((_, one), (_, other)) in product(both, pairs):
        if one != camera and other != world:
            yield 1 + len(more), {**more, "camera_axes": one, "world_axes": other}
    for one in _letters():
        yield _LAST_RANK, {"camera_axes": one}
        yield _LAST_RANK, {"world_axes": one}


def _letters() -> list[str]:
    """Returns every right-handed convention without a name."""
    found = []
    for pairs in permutations(("FB", "LR", "UD")):
        for letters in map("".join, product(*pairs)):
            try:
                axes_matrix(letters)
            except ValueError:
                continue
            found.append(letters)
    return sorted(set(found) - set(CONVENTIONS.values()))


def _turned(rotation_T33: np.ndarray) -> np.ndarray:
    """Returns axis times angle of each turn: float64 [T - 1, 3], in degrees and world axes."""
    rotation_S33 = rotation_T33[1:] @ rotation_T33[:-1].transpose(0, 2, 1)
    skew_S3 = np.stack(
        [
            rotation_S33[:, 2, 1] - rotation_S33[:, 1, 2],
            rotation_S33[:, 0, 2] - rotation_S33[:, 2, 0],
            rotation_S33[:, 1, 0] - rotation_S33[:, 0, 1],
        ],
        axis=1,
    )
    # R - Rᵀ holds 2 sin(angle) times the axis, and trace R is 1 + 2 cos(angle).
    sine_S = np.linalg.norm(skew_S3, axis=1) / 2
    cosine_S = (np.trace(rotation_S33, axis1=1, axis2=2) - 1) / 2
    angle_S = np.arctan2(sine_S, cosine_S)
    return np.degrees(skew_S3 / 2 * (angle_S / np.maximum(sine_S, 1e-12))[:, None])


def _degrees(radians: float) -> float:
    return float(np.degrees(radians))
