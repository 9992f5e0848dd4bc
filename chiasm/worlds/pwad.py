"""A patch archive (PWAD) with maps in the text format UDMF and the actors that stand in them.

Each map is three lumps: a marker, TEXTMAP, ENDMAP. The engine builds its own nodes. One archive
carries several maps, because starting the engine costs far more than changing its map.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image

from chiasm.worlds.maps import (
    CEILINGS,
    DOORWAY_HEIGHT,
    FLOORS,
    KINDS,
    LIGHTS,
    ROOM_HEIGHT,
    WALLS,
    Area,
    Kind,
    Map,
)
from chiasm.worlds.sounds import PERIOD_TICS, VOICE_OF_THING, sound_lumps

MAPS_PER_ARCHIVE = 8  # at most 32, MAP01 to MAP32; a start of the engine costs some 40 pictures
FIRST_ACTOR_NUMBER = 20001
SKY_TEXTURE = "CHIASKY"
PASSAGE_WALL, PASSAGE_FLAT, PASSAGE_LIGHT = "SUPPORT3", "FLAT19", 176


def archive(maps: Sequence[Map], *, sounds: bool = False) -> bytes:
    """Returns the bytes of a PWAD whose MAP01, MAP02, ... are ``maps``.

    With ``sounds``, things of some kinds sound.
    """
    lumps = [("DECORATE", _actors(sounds).encode()), ("MAPINFO", _skies(len(maps)).encode())]
    lumps += [("TX_START", b""), (SKY_TEXTURE, _sky_picture()), ("TX_END", b"")]
    lumps += sound_lumps() if sounds else []
    for number, world_map in enumerate(maps, start=1):
        lumps += [
            (f"MAP{number:02d}", b""),
            ("TEXTMAP", textmap(world_map).encode()),
            ("ENDMAP", b""),
        ]
    body, directory, offset = b"", b"", 12
    for name, data in lumps:
        directory += struct.pack("<ii8s", offset, len(data), name.encode())
        body += data
        offset += len(data)
    return struct.pack("<4sii", b"PWAD", len(lumps), offset) + body + directory


def actor_name(kind: Kind) -> str:
    """Returns the engine's class name of a kind, which its labels report."""
    return "Chiasm" + kind.name.title().replace(" ", "")


def _actors(sounds: bool) -> str:
    """Returns still, harmless actors: an animated sprite would make an image depend on the time.

    One that sounds keeps its sprite, and begins its sound anew with every period.
    """
    actors = []
    for number, kind in enumerate(KINDS, start=FIRST_ACTOR_NUMBER):
        glow = " Bright" if kind.glows else ""
        paint = f'Translation "{kind.translation}"' if kind.translation else ""
        state = f"{kind.sprite} A -1{glow}\nStop"
        if sounds and (voice := VOICE_OF_THING.get(kind.name)):
            play = f'A_PlaySound("{voice.name}", CHAN_BODY, 1.0, false, ATTN_NORM)'
            state = f"{kind.sprite} A {PERIOD_TICS}{glow} {play}\nLoop"
            paint += "\n+SYNCHRONIZED"  # else each begins at a tic that is drawn
        actors.append(
            f"actor {actor_name(kind)} {number}\n{{\n"
            f"Radius 16\nHeight 56\nScale {kind.scale}\n{paint}\n"
            f"States\n{{\nSpawn:\n{state}\n}}\n}}\n"
        )
    return "".join(actors)


def _skies(num_maps: int) -> str:
    return "".join(
        f'map MAP{number:02d} "{number}" {{ sky1 = "{SKY_TEXTURE}" }}\n'
        for number in range(1, num_maps + 1)
    )


@cache
def _sky_picture() -> bytes:
    """Returns a pale blue sky with clouds, as PNG: the assets' own skies are dark as rocks."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:128, 0:256] / 128.0
    clouds = np.zeros((128, 256))
    for across, down in ((2, 3), (3, 5), (5, 9), (8, 13)):  # whole waves around, hence no seam
        phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin(np.pi * across * columns + phase[0]) * np.sin(down * rows + phase[1])
        clouds += wave / across
    white = np.clip(clouds, 0, 1)[..., None]
    blue = np.array([120.0, 175.0, 255.0]) + 40.0 * rows[..., None] * [1.0, 0.5, 0.0]
    pixels = blue * (1 - white) + 255.0 * white
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


class _Builder:
    """Collects UDMF blocks; vertices are shared by position."""

    def __init__(self) -> None:
        self.blocks = ['namespace="zdoom";']
        self.vertices: dict[tuple[int, int], int] = {}
        self.num_sides = 0

    def add(self, block: str, **fields: float | str | bool) -> None:
        body = "".join(f"{key}={_udmf_value(value)};" for key, value in fields.items())
        self.blocks.append(f"{block}{{{body}}}")

    def vertex(self, point: tuple[int, int]) -> int:
        if point not in self.vertices:
            self.vertices[point] = len(self.vertices)
            self.add("vertex", x=float(point[0]), y=float(point[1]))
        return self.vertices[point]

    def side(self, sector: int, **textures: str) -> int:
        self.add("sidedef", sector=sector, **textures)
        self.num_sides += 1
        return self.num_sides - 1

    def wall(self, start: tuple[int, int], end: tuple[int, int], sector: int, texture: str) -> None:
        """Adds a one-sided line; its sector lies to the right of start -> end."""
        ends = {"v1": self.vertex(start), "v2": self.vertex(end)}
        front = self.side(sector, texturemiddle=texture)
        self.add("linedef", **ends, sidefront=front, blocking=True)

    def opening(
        self, start: tuple[int, int], end: tuple[int, int], sectors: tuple[int, int], lintel: str
    ) -> None:
        """Adds a two-sided line from a room (right) to a passage (left) with a lintel above it."""
        ends = {"v1": self.vertex(start), "v2": self.vertex(end)}
        front = self.side(sectors[0], texturetop=lintel)
        back = self.side(sectors[1])
        self.add("linedef", **ends, sidefront=front, sideback=back, twosided=True)


def _udmf_value(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def textmap(world_map: Map) -> str:
    """Returns the map in UDMF."""
    build = _Builder()
    _add_sectors(build, world_map)
    for number, room in enumerate(world_map.rooms):
        _add_room_outline(build, world_map, number, WALLS[room.wall])
    for number, doorway in enumerate(world_map.doorways):
        _add_jambs(build, doorway.area, doorway.direction, len(world_map.rooms) + number)
    _add_things(build, world_map)
    return "\n".join(build.blocks)


def _add_sectors(build: _Builder, world_map: Map) -> None:
    for room in world_map.rooms:
        build.add(
            "sector",
            heightceiling=ROOM_HEIGHT,
            texturefloor=FLOORS[room.floor],
            textureceiling=CEILINGS[room.ceiling],
            lightlevel=LIGHTS[room.light],
        )
    for _ in world_map.doorways:
        build.add(
            "sector",
            heightceiling=DOORWAY_HEIGHT,
            texturefloor=PASSAGE_FLAT,
            textureceiling=PASSAGE_FLAT,
            lightlevel=PASSAGE_LIGHT,
        )


def _add_room_outline(build: _Builder, world_map: Map, number: int, texture: str) -> None:
    """Adds the room's border clockwise, so that the room lies to the right of each line."""
    area = world_map.rooms[number].area
    corners = [
        (area.left, area.bottom),
        (area.left, area.top),
        (area.right, area.top),
        (area.right, area.bottom),
        (area.left, area.bottom),
    ]
    gaps = _gaps(world_map, number)
    for start, end in pairwise(corners):
        at = start
        for low, high, passage in sorted(
            (gap for gap in gaps if _on_line(gap[0], start, end)),
            key=lambda gap: abs(gap[0][0] - start[0]) + abs(gap[0][1] - start[1]),
        ):
            first, last = sorted((low, high), key=lambda p: abs(p[0] - at[0]) + abs(p[1] - at[1]))
            build.wall(at, first, number, texture)
            build.opening(first, last, (number, passage), texture)
            at = last
        build.wall(at, end, number, texture)


def _gaps(world_map: Map, number: int) -> list[tuple[tuple[int, int], tuple[int, int], int]]:
    """Returns the two corners of each opening in a room's border, and the passage's sector."""
    gaps = []
    for index, doorway in enumerate(world_map.doorways):
        area, sector = doorway.area, len(world_map.rooms) + index
        if number not in (doorway.room, doorway.neighbour):
            continue
        if doorway.direction == "east":
            x = area.left if number == doorway.room else area.right
            gaps.append(((x, area.bottom), (x, area.top), sector))
        else:
            y = area.bottom if number == doorway.room else area.top
            gaps.append(((area.left, y), (area.right, y), sector))
    return gaps


def _on_line(point: tuple[int, int], start: tuple[int, int], end: tuple[int, int]) -> bool:
    return point[0] == start[0] == end[0] or point[1] == start[1] == end[1]


def _add_jambs(build: _Builder, area: Area, direction: str, sector: int) -> None:
    if direction == "east":
        build.wall((area.left, area.top), (area.right, area.top), sector, PASSAGE_WALL)
        build.wall((area.right, area.bottom), (area.left, area.bottom), sector, PASSAGE_WALL)
    else:
        build.wall((area.left, area.bottom), (area.left, area.top), sector, PASSAGE_WALL)
        build.wall((area.right, area.top), (area.right, area.bottom), sector, PASSAGE_WALL)


def _add_things(build: _Builder, world_map: Map) -> None:
    present = {f"skill{level}": True for level in range(1, 6)} | {"single": True}
    first = world_map.rooms[0].area
    middle = ((first.left + first.right) // 2, (first.bottom + first.top) // 2)
    build.add("thing", x=float(middle[0]), y=float(middle[1]), angle=0, type=1, **present)
    for thing in world_map.things:
        number = FIRST_ACTOR_NUMBER + KINDS.index(thing.kind)
        build.add("thing", x=float(thing.x), y=float(thing.y), angle=0, type=number, **present)
