"""Whether a view shows the goal of an instruction."""

from __future__ import annotations

from chiasm.worlds.instructions.goals import Goal, goal_rooms
from chiasm.worlds.maps import UNITS_PER_METRE, Map
from chiasm.worlds.truth import View, cast

_LEAST_SHARE = 0.02
"""Share of the image above which a room is shown; the faintest objects fill as much."""


def shows_goal(world_map: Map, goal: Goal, view: View) -> bool | None:
    """Returns whether part of the goal is visible in the view where the instruction is given.

    An object is visible where the engine drew enough of one, as for captions. A room, also the one
    behind a door or any other to leave for, is visible where its walls, floor and ceiling fill a
    fiftieth of the image, by the rays of the ground truth. None for turns and counted steps, which
    are about no place.
    """
    if goal.kind in ("turn", "walk"):
        return None
    if goal.kind in ("object", "face"):
        return any(seen.name == goal.what for seen in view.objects)
    pose = view.pose
    x, y = pose.x_metres * UNITS_PER_METRE, pose.y_metres * UNITS_PER_METRE
    surfaces = cast(world_map, x, y, pose.yaw_degrees)
    share_A = surfaces.wall_A + surfaces.floor_A + surfaces.ceiling_A
    return any(share_A[room] >= _LEAST_SHARE for room in goal_rooms(world_map, goal, pose))
