"""Maps drawn from a seed: rooms of named materials on a grid, doorways between them, objects.

Geometry is in map units, the engine's own whole numbers; one metre is 50 of them. x grows to the
east, y to the north, and angles turn counter-clockwise from east. Every floor lies at height 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np

UNITS_PER_METRE = 50.0
WALL_THICKNESS = 32
ROOM_HEIGHT = 128
DOORWAY_HEIGHT = 104
EYE_HEIGHT = 41  # of the engine's player

WALLS = {
    "brick": "BRICK7",
    "stone": "GRAY1",
    "cobble": "METAL1",
    "wood": "WOOD1",
    "sapphire": "COMPBLUE",
    "ruby": "ROCKRED1",
    "marble": "MARBLE1",
    "steel": "SHAWN2",
}
"""Name of a wall's material -> texture of the engine's assets."""
FLOORS = {
    "grass": "GRASS1",
    "water": "FWATER1",
    "lava": "LAVA1",
    "slime": "NUKAGE1",
    "concrete": "FLAT5_4",
    "earth": "FLAT10",
}
CEILINGS = {"sky": "F_SKY1", "plaster": "FLAT20", "timber": "CEIL1_1", "velvet": "FLOOR6_1"}
LIGHTS = {"bright": 255, "dim": 168}
_CEILING_SHARES = np.cumsum([0.4, 0.2, 0.2, 0.2])
DIRECTIONS = {"east": (1, 0), "north": (0, 1), "west": (-1, 0), "south": (0, -1)}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its name, and the sprite of the engine's assets that shows it."""

    noun: str
    colour: str | None
    sprite: str
    scale: float
    glows: bool = False
    translation: str | None = None

    @property
    def name(self) -> str:
        """Name in a sentence, such as ``red pillar``."""
        return f"{self.colour} {self.noun}" if self.colour else self.noun


KINDS = (
    Kind("pillar", "red", "COL3", 1.5),
    Kind("pillar", "green", "COL1", 1.5),
    Kind("pillar", "blue", "COL1", 1.5, translation="112:127=192:207"),
    Kind("torch", "red", "TRED", 1.3, glows=True),
    Kind("torch", "blue", "TBLU", 1.3, glows=True),
    Kind("barrel", None, "BAR1", 2.0),
    Kind("tree", None, "SMIT", 1.5),
    Kind("skull", None, "SOUL", 2.2, glows=True),
)
KIND_OF_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Area:
    """An upright box, [left, right] x [bottom, top] in map units: a room or a passage."""

    left: int
    bottom: int
    right: int
    top: int

    def holds(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Returns whether the point lies inside, at least ``margin`` units from every side."""
        return (
            self.left + margin <= x <= self.right - margin
            and self.bottom + margin <= y <= self.top - margin
        )


@dataclass(frozen=True, slots=True)
class Room:
    """A room: one wall material, floor, ceiling and light throughout; unique wall in its map."""

    area: Area
    column: int
    row: int
    wall: str
    floor: str
    ceiling: str
    light: str

    @property
    def name(self) -> str:
        """Name in a sentence, such as ``brick room``."""
        return f"{self.wall} room"


@dataclass(frozen=True, slots=True)
class Doorway:
    """A passage through the wall from one room to its neighbour in ``direction``."""

    room: int
    neighbour: int
    direction: str  # "east" or "north"
    area: Area


@dataclass(frozen=True, slots=True)
class Thing:
    """An object standing in a room, in map units."""

    kind: Kind
    room: int
    x: int
    y: int


@dataclass(frozen=True)
class Map:
    """The complete description of one map."""

    seed: int
    rooms: tuple[Room, ...]
    doorways: tuple[Doorway, ...]
    things: tuple[Thing, ...]

    @cached_property
    def areas(self) -> tuple[Area, ...]:
        """The rooms' boxes, then the passages'."""
        return tuple(room.area for room in self.rooms) + tuple(d.area for d in self.doorways)

    @cached_property
    def exits(self) -> tuple[dict[str, int], ...]:
        """For each room: direction of a doorway -> number of the room behind it."""
        exits: tuple[dict[str, int], ...] = tuple({} for _ in self.rooms)
        back = {"east": "west", "north": "south"}
        for doorway in self.doorways:
            exits[doorway.room][doorway.direction] = doorway.neighbour
            exits[doorway.neighbour][back[doorway.direction]] = doorway.room
        return exits

    def is_free(self, x: float, y: float, margin: float = 40.0, clearance: float = 72.0) -> bool:
        """Returns whether one may stand there: ``margin`` from walls, ``clearance`` of objects."""
        if any((thing.x - x) ** 2 + (thing.y - y) ** 2 < clearance**2 for thing in self.things):
            return False
        if any(room.area.holds(x, y, margin) for room in self.rooms):
            return True
        return any(_walkway(doorway, margin).holds(x, y) for doorway in self.doorways)


def _walkway(doorway: Doorway, margin: float) -> Area:
    """Returns the strip through a doorway that joins the free parts of its two rooms."""
    area, reach, inset = doorway.area, round(margin) + 1, 24
    if doorway.direction == "east":
        return Area(area.left - reach, area.bottom + inset, area.right + reach, area.top - inset)
    return Area(area.left + inset, area.bottom - reach, area.right - inset, area.top + reach)


def generate_map(world_seed: int, map_seed: int) -> Map:
    """Returns the map that belongs to (``world_seed``, ``map_seed``)."""
    rng = np.random.default_rng([world_seed, map_seed, 1])
    num_columns = int(rng.integers(2, 4))
    num_rows = 2
    lefts = _cell_bounds(rng, num_columns)
    bottoms = _cell_bounds(rng, num_rows)
    walls = rng.permutation(list(WALLS))
    rooms = []
    for number, (row, column) in enumerate(product(range(num_rows), range(num_columns))):
        area = Area(lefts[column][0], bottoms[row][0], lefts[column][1], bottoms[row][1])
        floor, ceiling = _drawn(rng, FLOORS), _draw_ceiling(rng)
        light = _drawn(rng, LIGHTS)
        rooms.append(Room(area, column, row, str(walls[number]), floor, ceiling, light))
    doorways = _draw_doorways(rng, rooms)
    things = [thing for n, room in enumerate(rooms) for thing in _furnish(rng, n, room, doorways)]
    return Map(map_seed, tuple(rooms), tuple(doorways), tuple(things))


def _cell_bounds(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Returns bounds along one axis of ``count`` cells with a wall's thickness between them."""
    sizes = 16 * rng.integers(22, 33, size=count)
    starts = np.concatenate([[0], np.cumsum(sizes + WALL_THICKNESS)])
    return [(int(a), int(b) - WALL_THICKNESS) for a, b in pairwise(starts)]


def _drawn(rng: np.random.Generator, names: Mapping[str, object]) -> str:
    """Returns one of the names, as ``rng.choice`` draws it, which makes an array of them first."""
    return list(names)[rng.integers(len(names))]


def _draw_ceiling(rng: np.random.Generator) -> str:
    """Returns a ceiling; the sky, the first, is twice as likely as any other one."""
    bounds = _CEILING_SHARES / _CEILING_SHARES[-1]
    return list(CEILINGS)[bounds.searchsorted(rng.random(), side="right")]


def _draw_doorways(rng: np.random.Generator, rooms: list[Room]) -> list[Doorway]:
    """Returns a random spanning tree of the grid, and every other wall open one in two."""
    edges = [
        (a, b, direction)
        for (a, room), (b, other) in product(enumerate(rooms), repeat=2)
        for direction in ("east", "north")
        if (other.column - room.column, other.row - room.row) == DIRECTIONS[direction]
    ]
    group = list(range(len(rooms)))
    doorways = []
    for edge in rng.permutation(len(edges)):
        a, b, direction = edges[edge]
        joins = group[a] != group[b]
        if joins or rng.random() < 0.5:
            group = [group[a] if g == group[b] else g for g in group]
            doorways.append(Doorway(a, b, direction, _passage(rng, rooms[a], rooms[b], direction)))
    return doorways


def _passage(rng: np.random.Generator, room: Room, other: Room, direction: str) -> Area:
    width = 16 * int(rng.integers(8, 11))
    if direction == "east":
        low = 16 * int(rng.integers(4, (room.area.top - room.area.bottom - width) // 16 - 3))
        bottom = room.area.bottom + low
        return Area(room.area.right, bottom, other.area.left, bottom + width)
    low = 16 * int(rng.integers(4, (room.area.right - room.area.left - width) // 16 - 3))
    left = room.area.left + low
    return Area(left, room.area.top, left + width, other.area.bottom)


def _furnish(
    rng: np.random.Generator, number: int, room: Room, doorways: list[Doorway]
) -> list[Thing]:
    """Returns one to three objects, apart from walls, each other and the ways through doors."""
    ways = [_walkway(door, 88.0) for door in doorways if number in (door.room, door.neighbour)]
    things: list[Thing] = []
    for _ in range(int(rng.integers(1, 4))):
        for _ in range(20):
            x = int(rng.integers(room.area.left + 64, room.area.right - 63))
            y = int(rng.integers(room.area.bottom + 64, room.area.top - 63))
            apart = all((t.x - x) ** 2 + (t.y - y) ** 2 >= 128**2 for t in things)
            if apart and not any(way.holds(x, y) for way in ways):
                kind = KINDS[int(rng.integers(len(KINDS)))]
                things.append(Thing(kind, number, x, y))
                break
    return things
