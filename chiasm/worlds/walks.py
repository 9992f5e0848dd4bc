"""Poses of the rendered images: still views that show something, and walks whose steps matter.

A step turns by 20 or 40 degrees, or goes one metre ahead or back, or both: few magnitudes, so that
the effect of an action can be learned from few examples, and large ones, so that it matters. Among
several steps that stay clear of walls and objects, one with free space ahead is drawn, so that a
walk does not stare at walls.
"""

from __future__ import annotations

import math

import numpy as np

from chiasm.poses import Pose
from chiasm.worlds.maps import UNITS_PER_METRE, Map, Room
from chiasm.worlds.truth import Surfaces, cast, view_of

_VIEW_TRIES = 40
_STEP_TRIES = 12
_ENOUGH_AHEAD_METRES = 2.5
_TURNS_DEGREES = (20.0, 40.0)
_STRIDE_METRES = 1.0


def draw_views(world_map: Map, count: int, rng: np.random.Generator) -> list[Pose]:
    """Returns ``count`` poses of still views; two in three look towards an object."""
    return [_draw_view(world_map, rng) for _ in range(count)]


def _draw_view(world_map: Map, rng: np.random.Generator) -> Pose:
    """Returns the first try whose surfaces are unambiguous, or the last one."""
    for _ in range(_VIEW_TRIES):
        aimed = _towards_object(world_map, rng) if rng.random() < 2 / 3 else None
        pose = aimed or _anywhere(world_map, rng)
        if view_of(world_map, pose, _cast(world_map, pose)).clear:
            break
    return pose


def _towards_object(world_map: Map, rng: np.random.Generator) -> Pose | None:
    thing = world_map.things[int(rng.integers(len(world_map.things)))]
    distance = rng.uniform(90, 260)
    bearing = rng.uniform(0, 2 * math.pi)
    x, y = thing.x - distance * math.cos(bearing), thing.y - distance * math.sin(bearing)
    if not world_map.rooms[thing.room].area.holds(x, y) or not world_map.is_free(x, y):
        return None
    return _pose(x, y, math.degrees(bearing) + rng.uniform(-30, 30))


def _anywhere(world_map: Map, rng: np.random.Generator) -> Pose:
    room = world_map.rooms[int(rng.integers(len(world_map.rooms)))]
    x, y = _free_place(world_map, room, rng)
    return _pose(x, y, rng.uniform(0, 360))


def _free_place(world_map: Map, room: Room, rng: np.random.Generator) -> tuple[float, float]:
    while True:
        x = rng.uniform(room.area.left, room.area.right)
        y = rng.uniform(room.area.bottom, room.area.top)
        if world_map.is_free(x, y):
            return x, y


def draw_walk(world_map: Map, num_frames: int, rng: np.random.Generator) -> list[Pose]:
    """Returns ``num_frames`` poses one step apart, starting somewhere with a view."""
    poses = [
        max(
            (_anywhere(world_map, rng) for _ in range(4)),
            key=lambda pose: min(_cast(world_map, pose).ahead_metres, _ENOUGH_AHEAD_METRES),
        )
    ]
    sense = float(rng.choice([-1, 1]))  # turns tend to keep their sense, as a walker's do
    while len(poses) < num_frames:
        sense = -sense if rng.random() < 0.25 else sense
        poses.append(_draw_step(world_map, poses[-1], sense, rng))
    return poses


def _draw_step(world_map: Map, pose: Pose, sense: float, rng: np.random.Generator) -> Pose:
    """Returns the first free step with enough space ahead, else the free one with most."""
    best = _turn(pose, sense, rng)
    best_ahead = 0.0
    for _ in range(_STEP_TRIES):
        step = _turn(pose, sense, rng) if rng.random() < 0.3 else _move(pose, sense, rng)
        if not _is_free_path(world_map, pose, step):
            continue
        ahead = _cast(world_map, step).ahead_metres
        if ahead > best_ahead:
            best, best_ahead = step, ahead
        if ahead > _ENOUGH_AHEAD_METRES:
            break
    return best


def _turn(pose: Pose, sense: float, rng: np.random.Generator) -> Pose:
    """Returns the pose after a turn on the spot."""
    yaw = (pose.yaw_degrees + sense * float(rng.choice(_TURNS_DEGREES))) % 360.0
    return Pose(pose.x_metres, pose.y_metres, yaw)


def _move(pose: Pose, sense: float, rng: np.random.Generator) -> Pose:
    """Returns the pose a metre ahead, now and then behind, with or without a turn."""
    turn = sense * float(rng.choice(_TURNS_DEGREES)) if rng.random() < 0.5 else 0.0
    heading = math.radians(pose.yaw_degrees)
    stride = -_STRIDE_METRES if rng.random() < 0.1 else _STRIDE_METRES
    return _pose(
        (pose.x_metres + stride * math.cos(heading)) * UNITS_PER_METRE,
        (pose.y_metres + stride * math.sin(heading)) * UNITS_PER_METRE,
        pose.yaw_degrees + turn,
    )


def _is_free_path(world_map: Map, pose: Pose, step: Pose) -> bool:
    return all(
        world_map.is_free(
            (pose.x_metres + part * (step.x_metres - pose.x_metres)) * UNITS_PER_METRE,
            (pose.y_metres + part * (step.y_metres - pose.y_metres)) * UNITS_PER_METRE,
        )
        for part in (0.25, 0.5, 0.75, 1.0)
    )


def _pose(x: float, y: float, yaw_degrees: float) -> Pose:
    """Returns a pose from map units; the engine stands on whole units only."""
    return Pose(round(x) / UNITS_PER_METRE, round(y) / UNITS_PER_METRE, yaw_degrees % 360.0)


def _cast(world_map: Map, pose: Pose) -> Surfaces:
    x, y = pose.x_metres * UNITS_PER_METRE, pose.y_metres * UNITS_PER_METRE
    return cast(world_map, x, y, pose.yaw_degrees)
