import math
from dataclasses import replace

import numpy as np
import pytest

from chiasm.poses import Pose, compose
from chiasm.worlds.instructions.goals import (
    KINDS_OF_GOAL,
    Goal,
    goal_rooms,
    possible_goals,
    reached,
    room_of,
)
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.maps import KIND_OF_NAME as KINDS
from chiasm.worlds.maps import Area, Doorway, Map, Room, Thing, generate_map

WEST = Room(Area(0, 0, 400, 400), 0, 0, "brick", "grass", "sky", "dim")
EAST = Room(Area(432, 0, 832, 400), 1, 0, "wood", "lava", "timber", "bright")
TWO_ROOMS = Map(
    0,
    (WEST, EAST),
    (Doorway(0, 1, "east", Area(400, 140, 432, 270)),),
    (Thing(KINDS["red torch"], 0, 100, 300), Thing(KINDS["barrel"], 1, 496, 80)),
)
START = Pose(4.0, 4.0, 0.0)  # in the west room, the door ahead, the torch behind to the left


def test_an_object_is_reached_near_it_and_turned_to_it():
    goal = Goal("object", "red torch")
    assert reached(TWO_ROOMS, goal, START, Pose(4.0, 6.0, 180.0))
    assert not reached(TWO_ROOMS, goal, START, Pose(4.0, 6.0, 90.0))  # looks past it
    assert not reached(TWO_ROOMS, goal, START, Pose(5.0, 6.0, 180.0))  # three metres off
    # The barrel stands 1.9 m behind this wall.
    assert not reached(TWO_ROOMS, Goal("object", "barrel"), START, Pose(7.9, 1.6, 0.0))
    assert not reached(TWO_ROOMS, Goal("object", "tree"), START, START)  # there is none


def test_facing_is_done_on_the_spot():
    goal = Goal("face", "red torch")
    bearing = math.degrees(math.atan2(2.0, -2.0))
    assert reached(TWO_ROOMS, goal, START, replace(START, yaw_degrees=bearing + 20))
    assert not reached(TWO_ROOMS, goal, START, replace(START, yaw_degrees=bearing + 30))
    assert not reached(TWO_ROOMS, goal, START, Pose(4.0, 6.0, 180.0))  # walked there


@pytest.mark.parametrize(
    ("goal", "in_the_east"),
    [
        (Goal("wall", "wood"), True),
        (Goal("floor", "lava"), True),
        (Goal("ceiling", "timber"), True),
        (Goal("light", "bright"), True),
        (Goal("door", "ahead"), True),
        (Goal("leave", "this room"), True),
        (Goal("wall", "brick"), False),
        (Goal("light", "dim"), False),
        (Goal("door", "left"), None),
    ],
)
def test_places_are_reached_inside_their_room(goal: Goal, in_the_east: bool | None):
    assert reached(TWO_ROOMS, goal, START, Pose(9.5, 4.0, 90.0)) is (in_the_east is True)
    assert reached(TWO_ROOMS, goal, START, START) is (in_the_east is False)
    assert not reached(TWO_ROOMS, goal, START, Pose(8.3, 4.0, 0.0))  # in the doorway


def test_turns_and_counted_steps_have_tolerances():
    around = Goal("turn", "around")
    for off, there in ((0.0, True), (24.0, True), (-24.0, True), (26.0, False), (180.0, False)):
        assert reached(TWO_ROOMS, around, START, compose(START, (0.3, 0.3, 180.0 + off))) is there
    assert not reached(TWO_ROOMS, around, START, compose(START, (0.6, 0.0, 180.0)))
    back = Goal("walk", "two back")
    assert reached(TWO_ROOMS, back, START, compose(START, (-1.6, 0.2, 10.0)))
    assert not reached(TWO_ROOMS, back, START, compose(START, (-1.4, 0.0, 0.0)))
    assert not reached(TWO_ROOMS, back, START, compose(START, (-2.0, 0.0, 30.0)))


def test_doors_are_named_as_seen_from_the_start():
    for yaw, side in ((0, "ahead"), (90, "right"), (180, "behind"), (270, "left")):
        goals = possible_goals(TWO_ROOMS, replace(START, yaw_degrees=float(yaw)))
        assert [goal.what for goal in goals if goal.kind == "door"] == [side]
    assert not any(g.kind == "door" for g in possible_goals(TWO_ROOMS, Pose(4.0, 4.0, 45.0)))


def test_nobody_is_asked_to_turn_to_one_of_two_rooms():
    goal = Goal("face", "red torch")
    assert goal in possible_goals(TWO_ROOMS, START)
    other = Thing(KINDS["red torch"], 1, 700, 300)
    assert goal not in possible_goals(replace(TWO_ROOMS, things=(*TWO_ROOMS.things, other)), START)


@pytest.mark.slow
def test_what_is_possible_is_on_the_map_and_not_done_yet():
    kinds = set()
    for seed in range(20):
        world_map = generate_map(0, seed)
        start = Ground(world_map).draw_pose(np.random.default_rng(seed))
        for goal in possible_goals(world_map, start):
            kinds.add(goal.kind)
            assert not reached(world_map, goal, start, start)
            if goal.kind in ("door", "wall", "floor", "ceiling", "light"):
                assert set(goal_rooms(world_map, goal, start)) - {room_of(world_map, start)}
    assert kinds == set(KINDS_OF_GOAL)
