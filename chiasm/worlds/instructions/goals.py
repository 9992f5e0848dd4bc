"""Goals in a map, and whether a walk has reached one.

A goal is a kind and what it is about:

object    a kind of object    stand before one
face      a kind of object    turn to one in the same room
wall, floor, ceiling, light   a material or a light: be in a room that has it
door      left, right, ahead, behind: be in the room behind that door, as seen from the start
leave     this room, its light or its wall: be in another room
turn      left, right, around
walk      so many steps forward or back

Poses are in metres and degrees, as in :class:`~chiasm.worlds.truth.Pose`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chiasm.poses import Pose, compose, relative_pose
from chiasm.worlds.maps import UNITS_PER_METRE, Map, Thing

PLACES = ("wall", "floor", "ceiling", "light")
KINDS_OF_GOAL = ("object", "face", *PLACES, "door", "leave", "turn", "walk")
TURNS = {"left": 90.0, "right": -90.0, "around": 180.0}
"""Degrees, counter-clockwise."""
COUNTS = {"two": 2, "three": 3, "four": 4}

_DOOR_BEARINGS = {"ahead": 0.0, "left": 90.0, "behind": 180.0, "right": -90.0}
_DOOR_SECTOR_DEGREES = 30.0
_DOOR_DOUBT_DEGREES = 60.0  # another door as near to the side would leave a doubt which is meant
_TO_BE_TURNED_TO_DEGREES = 40.0  # what is ahead already needs no turn


@dataclass(frozen=True, slots=True)
class Goal:
    """The meaning of an instruction, without its words."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest errors at which a goal still counts as reached."""

    object_metres: float
    """Largest distance from an object gone to; its clearance alone is 1.44 m."""
    object_degrees: float
    """Largest angle between the heading and an object gone to or turned to."""
    place_metres: float
    """Largest distance from where a turn or counted steps should end."""
    turn_degrees: float
    """Largest error of a heading after a turn or counted steps."""
    wall_metres: float
    """Least distance from the walls of a room, inside it."""


REACHED = Tolerance(2.5, 25.0, 0.5, 25.0, 0.0)
"""Tolerance for imagined walks."""
EXPERT = Tolerance(2.3, 15.0, 0.1, 10.5, 0.76)
"""Tolerance for the expert, so that none of its walks is a borderline case."""

HELD_OUT_GOALS = frozenset(
    {
        *(Goal(kind, name) for kind in ("object", "face") for name in ("blue torch", "skull")),
        *(Goal("wall", "marble"), Goal("leave", "marble room")),
        *(Goal("floor", "slime"), Goal("ceiling", "velvet")),
        *(Goal("door", "behind"), Goal("walk", "three back")),
    }
)
"""Goals of no training document, though captions and questions have the words."""


def reached(
    world_map: Map, goal: Goal, start: Pose, end: Pose, tolerance: Tolerance = REACHED
) -> bool:
    """Returns whether a walk from ``start`` that ends at ``end`` did what ``goal`` asks.

    Only the ends count, not the way between them. A goal of kind ``door`` that does not exist at
    ``start`` is never reached.
    """
    if goal.kind == "object":
        return any(
            _before(thing, end, tolerance)
            for thing in things_named(world_map, goal.what)
            if thing.room == room_of(world_map, end)  # not behind a wall
        )
    if goal.kind == "face":
        return _near(start, end, tolerance) and any(
            abs(bearing_degrees(end, thing)) <= tolerance.object_degrees
            for thing in things_named(world_map, goal.what)
            if thing.room == room_of(world_map, start)
        )
    if goal.kind in ("turn", "walk"):
        wanted = compose(start, relative_goal(goal))
        turned = abs(relative_pose(wanted, end)[2])
        return _near(wanted, end, tolerance) and turned <= tolerance.turn_degrees
    return any(
        _inside(world_map, room, end, tolerance) for room in goal_rooms(world_map, goal, start)
    )


def relative_goal(goal: Goal) -> tuple[float, float, float]:
    """Returns (dx, dy, dyaw) from the start, in metres and degrees, for a turn or a walk."""
    if goal.kind == "turn":
        return 0.0, 0.0, TURNS[goal.what]
    count, direction = goal.what.split()
    return COUNTS[count] * (1.0 if direction == "forward" else -1.0), 0.0, 0.0


def goal_rooms(world_map: Map, goal: Goal, start: Pose) -> list[int]:
    """Returns the rooms in which a goal of kind ``door``, ``leave`` or a place is reached."""
    if goal.kind == "door":
        return [room for side, room in _doors(world_map, start) if side == goal.what]
    if goal.kind == "leave":
        here = room_of(world_map, start)
        return [room for room in range(len(world_map.rooms)) if room != here]
    return [
        number
        for number, room in enumerate(world_map.rooms)
        if getattr(room, goal.kind) == goal.what
    ]


def possible_goals(world_map: Map, start: Pose) -> list[Goal]:
    """Returns the goals that can be asked for in a room at ``start`` and are not reached there."""
    here = room_of(world_map, start)
    room = world_map.rooms[here]
    goals = [Goal("object", name) for name in _names(world_map.things)]
    goals += [
        Goal("face", name)
        for name in _names(thing for thing in world_map.things if thing.room == here)
        if all(
            # One of another room, seen through a door, would leave a doubt which is meant.
            thing.room == here and abs(bearing_degrees(start, thing)) > _TO_BE_TURNED_TO_DEGREES
            for thing in things_named(world_map, name)
        )
    ]
    for kind in PLACES:
        goals += [Goal(kind, what) for what in sorted({getattr(r, kind) for r in world_map.rooms})]
    goals += [Goal("door", side) for side, _ in _doors(world_map, start)]
    goals += [Goal("leave", f"{word} room") for word in ("this", room.light, room.wall)]
    goals += [Goal("turn", way) for way in TURNS]
    goals += [Goal("walk", f"{n} {way}") for n in COUNTS for way in ("forward", "back")]
    return [goal for goal in goals if not reached(world_map, goal, start, start)]


def things_named(world_map: Map, name: str) -> list[Thing]:
    """Returns all objects of a kind, such as ``red torch``."""
    return [thing for thing in world_map.things if thing.kind.name == name]


def room_of(world_map: Map, pose: Pose) -> int:
    """Returns the number of the room that ``pose`` is in; -1 in a passage or outside."""
    x, y = pose.x_metres * UNITS_PER_METRE, pose.y_metres * UNITS_PER_METRE
    return next((n for n, room in enumerate(world_map.rooms) if room.area.holds(x, y)), -1)


def bearing_degrees(pose: Pose, thing: Thing) -> float:
    """Returns degrees counter-clockwise, in (-180, 180], from the heading to an object."""
    return _bearing(pose, thing.x / UNITS_PER_METRE, thing.y / UNITS_PER_METRE)


def distance_metres(pose: Pose, thing: Thing) -> float:
    """Returns the distance from a pose to the middle of an object."""
    return math.hypot(
        thing.x / UNITS_PER_METRE - pose.x_metres, thing.y / UNITS_PER_METRE - pose.y_metres
    )


def _doors(world_map: Map, start: Pose) -> Iterator[tuple[str, int]]:
    """Yields side and room behind of each door of the room that words can distinguish."""
    here = room_of(world_map, start)
    bearings = {}
    for doorway in world_map.doorways:
        if here in (doorway.room, doorway.neighbour):
            area = doorway.area
            middle = (area.left + area.right) / 2, (area.bottom + area.top) / 2
            behind = doorway.neighbour if here == doorway.room else doorway.room
            bearings[behind] = _bearing(start, *(value / UNITS_PER_METRE for value in middle))
    for side, wanted in _DOOR_BEARINGS.items():
        off = {room: abs((b - wanted + 180.0) % 360.0 - 180.0) for room, b in bearings.items()}
        near = [room for room, degrees in off.items() if degrees <= _DOOR_DOUBT_DEGREES]
        if len(near) == 1 and off[near[0]] <= _DOOR_SECTOR_DEGREES:
            yield side, near[0]


def _bearing(pose: Pose, x_metres: float, y_metres: float) -> float:
    direction = math.degrees(math.atan2(y_metres - pose.y_metres, x_metres - pose.x_metres))
    return 180.0 - (180.0 - direction + pose.yaw_degrees) % 360.0


def _before(thing: Thing, end: Pose, tolerance: Tolerance) -> bool:
    return (
        distance_metres(end, thing) <= tolerance.object_metres
        and abs(bearing_degrees(end, thing)) <= tolerance.object_degrees
    )


def _near(wanted: Pose, end: Pose, tolerance: Tolerance) -> bool:
    east, north = end.x_metres - wanted.x_metres, end.y_metres - wanted.y_metres
    return math.hypot(east, north) <= tolerance.place_metres


def _inside(world_map: Map, room: int, end: Pose, tolerance: Tolerance) -> bool:
    x, y = end.x_metres * UNITS_PER_METRE, end.y_metres * UNITS_PER_METRE
    return world_map.rooms[room].area.holds(x, y, tolerance.wall_metres * UNITS_PER_METRE)


def _names(things: Iterable[Thing]) -> list[str]:
    return sorted({thing.kind.name for thing in things})
