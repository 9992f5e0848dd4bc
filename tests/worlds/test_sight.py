"""What can be seen from where, on maps whose rooms are known."""

import math

import pytest

from chiasm.poses import Pose
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map
from chiasm.worlds.sight import HALF_VIEW_DEGREES, in_sight

MAP = generate_map(0, 1_000_000)


def middle(area) -> tuple[float, float]:
    return (
        (area.left + area.right) / 2 / UNITS_PER_METRE,
        (area.bottom + area.top) / 2 / UNITS_PER_METRE,
    )


def test_a_place_in_the_room_is_seen_within_the_field_of_view():
    x, y = middle(MAP.rooms[0].area)
    place = Pose(x + 2, y, 0)
    for yaw in range(0, 360, 10):
        away = min(yaw, 360 - yaw)
        assert in_sight(MAP, Pose(x, y, yaw), place) == (away <= HALF_VIEW_DEGREES)


def test_half_of_the_view_is_that_of_the_pictures():
    # The engine's screen of 4:3 sees 90 degrees; the square in its middle sees 3/4 of its width.
    assert pytest.approx(math.degrees(math.atan(0.75))) == HALF_VIEW_DEGREES


def test_doorways_are_open_and_walls_are_not():
    for door in MAP.doorways:
        one, other = MAP.rooms[door.room].area, MAP.rooms[door.neighbour].area
        x, y = middle(door.area)
        ahead = 0 if door.direction == "east" else 90
        along = (1, 0) if door.direction == "east" else (0, 1)
        before = Pose(x - along[0], y - along[1], ahead)
        behind = Pose(x + along[0], y + along[1], ahead)
        assert one.holds(before.x_metres * UNITS_PER_METRE, before.y_metres * UNITS_PER_METRE)
        assert other.holds(behind.x_metres * UNITS_PER_METRE, behind.y_metres * UNITS_PER_METRE)
        assert in_sight(MAP, before, behind)
    area = MAP.rooms[0].area
    inside = Pose((area.left + 60) / UNITS_PER_METRE, (area.bottom + 60) / UNITS_PER_METRE, 180)
    assert not in_sight(MAP, inside, Pose(inside.x_metres - 5, inside.y_metres, 180))


def test_where_one_stands_the_heading_counts():
    x, y = middle(MAP.rooms[0].area)
    assert in_sight(MAP, Pose(x, y, 10), Pose(x, y, 40))
    assert not in_sight(MAP, Pose(x, y, 10), Pose(x, y, 60))
