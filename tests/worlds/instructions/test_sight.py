"""What the first view shows of a goal, in two rooms with a door between them."""

import numpy as np
import pytest

from chiasm.poses import Pose
from chiasm.worlds.engine import Label
from chiasm.worlds.instructions.goals import Goal
from chiasm.worlds.instructions.sight import shows_goal
from chiasm.worlds.maps import KIND_OF_NAME as KINDS
from chiasm.worlds.maps import UNITS_PER_METRE, Area, Doorway, Map, Room, Thing
from chiasm.worlds.truth import View, cast, view_of

TWO_ROOMS = Map(
    0,
    (
        Room(Area(0, 0, 400, 400), 0, 0, "brick", "grass", "sky", "dim"),
        Room(Area(432, 0, 832, 400), 1, 0, "wood", "lava", "timber", "bright"),
    ),
    (Doorway(0, 1, "east", Area(400, 140, 432, 270)),),
    (Thing(KINDS["red torch"], 0, 100, 300),),
)


def seen(yaw_degrees: float, *labels: Label) -> View:
    pose = Pose(4.0, 4.0, yaw_degrees)
    return view_of(
        TWO_ROOMS,
        pose,
        cast(TWO_ROOMS, 4 * UNITS_PER_METRE, 4 * UNITS_PER_METRE, yaw_degrees),
        labels,
    )


@pytest.mark.parametrize(
    "goal",
    [
        *(Goal("wall", "wood"), Goal("light", "bright"), Goal("leave", "this room")),
    ],
)
def test_a_room_is_shown_where_one_looks_into_it(goal: Goal):
    assert shows_goal(TWO_ROOMS, goal, seen(0.0)) is True
    assert shows_goal(TWO_ROOMS, goal, seen(180.0)) is False
    assert shows_goal(TWO_ROOMS, Goal("wall", "brick"), seen(180.0)) is True


def test_a_door_is_shown_by_the_room_behind_it():
    assert shows_goal(TWO_ROOMS, Goal("door", "ahead"), seen(0.0)) is True
    assert shows_goal(TWO_ROOMS, Goal("door", "left"), seen(270.0)) is False


def test_an_object_is_shown_where_the_engine_drew_enough_of_it():
    mask = np.zeros((192, 192), bool)
    torch = Label("red torch", 100, 300, mask)
    assert shows_goal(TWO_ROOMS, Goal("object", "red torch"), seen(135.0, torch)) is False
    mask[60:130, 80:110] = True
    assert shows_goal(TWO_ROOMS, Goal("object", "red torch"), seen(135.0, torch)) is True
    assert shows_goal(TWO_ROOMS, Goal("face", "skull"), seen(135.0, torch)) is False


def test_turns_and_counted_steps_are_about_no_place():
    assert shows_goal(TWO_ROOMS, Goal("turn", "around"), seen(0.0)) is None
    assert shows_goal(TWO_ROOMS, Goal("walk", "two forward"), seen(0.0)) is None
