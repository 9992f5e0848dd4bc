"""Visibility of a place from a pose: walls hide it, objects do not."""

from __future__ import annotations

import math

from chiasm.poses import Pose, relative_pose
from chiasm.worlds.engine import FOCAL
from chiasm.worlds.maps import UNITS_PER_METRE, Map

HALF_VIEW_DEGREES = math.degrees(math.atan(0.5 / FOCAL))
_HERE_METRES = 0.5
_STRIDE_UNITS = 8.0  # finer than any wall


def in_sight(world_map: Map, viewer: Pose, place: Pose) -> bool:
    """Returns whether ``place`` lies in the image taken from ``viewer``.

    It does if its direction is within half of the field of view (73.7 degrees in all) and the
    straight line to it stays in rooms and doorways. A place within half a metre has no meaningful
    direction: there the headings are compared, since both views overlap.
    """
    dx, dy, dyaw = relative_pose(viewer, place)
    distance = math.hypot(dx, dy)
    if distance < _HERE_METRES:
        return abs(dyaw) <= HALF_VIEW_DEGREES
    if abs(math.degrees(math.atan2(dy, dx))) > HALF_VIEW_DEGREES:
        return False
    pieces = math.ceil(distance * UNITS_PER_METRE / _STRIDE_UNITS)
    east, north = place.x_metres - viewer.x_metres, place.y_metres - viewer.y_metres
    return all(
        _is_open(
            world_map,
            (viewer.x_metres + piece / pieces * east) * UNITS_PER_METRE,
            (viewer.y_metres + piece / pieces * north) * UNITS_PER_METRE,
        )
        for piece in range(pieces + 1)
    )


def _is_open(world_map: Map, x: float, y: float) -> bool:
    return any(area.holds(x, y) for area in world_map.areas)
