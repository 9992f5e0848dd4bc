from itertools import combinations

import numpy as np
import pytest

from chiasm.worlds import maps
from chiasm.worlds.maps import CEILINGS, DIRECTIONS, FLOORS, Area, Map, generate_map

MAPS = [generate_map(0, seed) for seed in range(40)]


def test_a_map_is_a_function_of_its_seeds():
    assert generate_map(3, 5) == generate_map(3, 5)
    assert generate_map(3, 5) != generate_map(3, 6)
    assert generate_map(3, 5) != generate_map(4, 5)


@pytest.mark.parametrize("world_map", MAPS[:10])
def test_rooms_are_named_apart_and_do_not_overlap(world_map: Map):
    assert len({room.name for room in world_map.rooms}) == len(world_map.rooms)
    for a, b in combinations([room.area for room in world_map.rooms], 2):
        assert a.right < b.left or b.right < a.left or a.top < b.bottom or b.top < a.bottom


@pytest.mark.parametrize("world_map", MAPS)
def test_every_room_can_be_reached_and_exits_agree(world_map: Map):
    reached, front = {0}, [0]
    while front:
        for neighbour in world_map.exits[front.pop()].values():
            if neighbour not in reached:
                reached.add(neighbour)
                front.append(neighbour)
    assert reached == set(range(len(world_map.rooms)))
    for number, exits in enumerate(world_map.exits):
        for direction, neighbour in exits.items():
            here, there = world_map.rooms[number], world_map.rooms[neighbour]
            step = there.column - here.column, there.row - here.row
            assert step == DIRECTIONS[direction]


@pytest.mark.parametrize("world_map", MAPS)
def test_doorways_touch_both_rooms_within_their_walls(world_map: Map):
    for doorway in world_map.doorways:
        a, b = world_map.rooms[doorway.room].area, world_map.rooms[doorway.neighbour].area
        door = doorway.area
        if doorway.direction == "east":
            assert (door.left, door.right) == (a.right, b.left)
            low, high = max(a.bottom, b.bottom), min(a.top, b.top)
            assert low < door.bottom < door.top < high
        else:
            assert (door.bottom, door.top) == (a.top, b.bottom)
            low, high = max(a.left, b.left), min(a.right, b.right)
            assert low < door.left < door.right < high


@pytest.mark.parametrize("world_map", MAPS)
def test_things_stand_in_their_rooms_and_apart(world_map: Map):
    for thing in world_map.things:
        assert world_map.rooms[thing.room].area.holds(thing.x, thing.y, margin=60)
        assert not world_map.is_free(thing.x + 10, thing.y)
    for a, b in combinations(world_map.things, 2):
        assert a.room != b.room or (a.x - b.x) ** 2 + (a.y - b.y) ** 2 >= 128**2


def test_free_places_are_inside_rooms_or_doorways():
    world_map = MAPS[0]
    room, doorway = world_map.rooms[0].area, world_map.doorways[0].area
    assert not world_map.is_free(room.left + 5, room.bottom + 5)
    assert not world_map.is_free(room.left - 100, room.bottom - 100)
    middle = (doorway.left + doorway.right) / 2, (doorway.bottom + doorway.top) / 2
    assert world_map.is_free(*middle)


def test_an_area_holds_its_inside():
    area = Area(0, 0, 10, 20)
    assert area.holds(10, 20)
    assert not area.holds(10, 20, margin=1)
    assert not area.holds(11, 5)


def test_materials_are_drawn_as_choice_draws_them():
    own, reference = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(200):
        assert maps._drawn(own, FLOORS) == reference.choice(list(FLOORS))
        expected = reference.choice(list(CEILINGS), p=[0.4, 0.2, 0.2, 0.2])
        assert maps._draw_ceiling(own) == expected
    assert own.random() == reference.random()
