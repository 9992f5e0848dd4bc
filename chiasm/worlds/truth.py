"""Ground truth of a view: surfaces by casting rays against the map, objects by labels.

All measures are shares of the square image (its side is 1), so that they hold at any resolution.
The engine projects at depth z a width w to ``FOCAL * w / z`` of the side and a height h to ``1.2 *
FOCAL * h / z``, since its pixels are taller than wide.

Shape suffixes: A areas of a map (rooms first, then passages).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.poses import Pose
from chiasm.worlds.engine import FOCAL, Label
from chiasm.worlds.hearing import Hearing
from chiasm.worlds.maps import (
    DOORWAY_HEIGHT,
    EYE_HEIGHT,
    KIND_OF_NAME,
    ROOM_HEIGHT,
    UNITS_PER_METRE,
    Map,
)

_NUM_RAYS = 64
_MAX_AREAS = 8  # rooms and passages one ray is followed through
_VERTICAL_FOCAL = 1.2 * FOCAL
_MIN_BOX_WIDTH = 6 / 64  # an object that is smaller is not counted as seen
_MIN_MASK_SHARE = 60 / 64**2
_NEAR_METRES = 3.0


@dataclass(frozen=True, slots=True)
class SeenObject:
    """A visible object; the box is left, top, right, bottom in shares of the side."""

    name: str
    noun: str
    colour: str | None
    side: str  # left, middle or right third of the picture
    distance_metres: float
    near: bool
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class View:
    """Ground truth of one frame.

    ``wall``, ``floor``, ``ceiling`` and ``light`` are those that fill most of the image, with
    ``clear`` true where each dominates its kind of surface without ambiguity. ``faint`` names
    objects that show only a few pixels: no question is asked about them. ``hearing`` is None where
    the world has no sounds.
    """

    map_seed: int
    pose: Pose
    room: str  # the room that fills most of the picture
    wall: str
    floor: str
    ceiling: str
    light: str
    clear: bool
    objects: tuple[SeenObject, ...]
    faint: tuple[str, ...]
    hearing: Hearing | None = None


@dataclass(frozen=True)
class Surfaces:
    """Share of the image that each area's walls, floor and ceiling fill (rooms first)."""

    wall_A: np.ndarray
    floor_A: np.ndarray
    ceiling_A: np.ndarray
    ahead_metres: float  # free depth in the middle of the picture


def cast(world_map: Map, x: float, y: float, yaw_degrees: float) -> Surfaces:
    """Returns the surfaces seen by one ray per image column through all areas (map units)."""
    caster = _Caster(world_map, x, y, yaw_degrees)
    for _ in range(_MAX_AREAS):
        if not caster.step():
            break
    return caster.surfaces()


class _Caster:
    """Rays of all columns, advanced together from area to area."""

    def __init__(self, world_map: Map, x: float, y: float, yaw_degrees: float) -> None:
        self.map = world_map
        self.boxes = np.array([(a.left, a.bottom, a.right, a.top) for a in world_map.areas], float)
        self.num_rooms = len(world_map.rooms)
        # Plane coordinate of each column's centre, left to right, at depth 1.
        self.plane = ((np.arange(_NUM_RAYS) + 0.5) / _NUM_RAYS - 0.5) / FOCAL
        yaw = math.radians(yaw_degrees)
        self.dx = math.cos(yaw) + self.plane * math.sin(yaw)
        self.dy = math.sin(yaw) - self.plane * math.cos(yaw)
        self.x, self.y = x, y
        start = next((n for n, a in enumerate(world_map.areas) if a.holds(x, y)), 0)
        self.area = np.full(_NUM_RAYS, start)
        self.depth = np.full(_NUM_RAYS, 1e-6)
        self.top = np.full(_NUM_RAYS, 0.5)  # highest visible row above the horizon
        self.live = np.ones(_NUM_RAYS, bool)
        self.sums = np.zeros((3, len(self.boxes)))
        self.end_depth = np.zeros(_NUM_RAYS)

    def step(self) -> bool:
        """Advances every live ray to the border of its area and through it where it is open."""
        box = self.boxes[self.area]
        with np.errstate(divide="ignore", invalid="ignore"):
            to_x = np.where(self.dx > 0, box[:, 2] - self.x, box[:, 0] - self.x) / self.dx
            to_y = np.where(self.dy > 0, box[:, 3] - self.y, box[:, 1] - self.y) / self.dy
        exit_depth = np.fmin(to_x, to_y)
        is_room = self.area < self.num_rooms
        ceiling_height = np.where(is_room, ROOM_HEIGHT, DOORWAY_HEIGHT) - EYE_HEIGHT
        self._add(1, _rows(EYE_HEIGHT, self.depth), _rows(EYE_HEIGHT, exit_depth))
        # A lintel hides everything above it: only rows below the lowest one so far are visible.
        near_row = np.minimum(_rows(ceiling_height, self.depth), self.top)
        far_row = np.minimum(_rows(ceiling_height, exit_depth), self.top)
        self._add(2, near_row, far_row)
        next_area = self._behind(exit_depth)
        solid = next_area < 0
        lintel = np.minimum(_rows(DOORWAY_HEIGHT - EYE_HEIGHT, exit_depth), far_row)
        low = np.where(solid, -_rows(EYE_HEIGHT, exit_depth), lintel)
        self._add(0, far_row, low)
        self.end_depth = np.where(self.live, exit_depth, self.end_depth)
        self.top = np.where(solid, self.top, np.minimum(self.top, lintel))
        self.live &= ~solid
        self.area = np.where(self.live, next_area, self.area)
        self.depth = np.where(self.live, exit_depth, self.depth)
        return bool(self.live.any())

    def _add(self, kind: int, high: np.ndarray, low: np.ndarray) -> None:
        rows = np.where(self.live, np.maximum(high - low, 0.0), 0.0) / _NUM_RAYS
        self.sums[kind] += np.bincount(self.area, rows, minlength=len(self.boxes))

    def _behind(self, exit_depth: np.ndarray) -> np.ndarray:
        """Returns the area just past the exit point of each ray, -1 behind a wall."""
        past = exit_depth + 0.5
        px, py = self.x + self.dx * past, self.y + self.dy * past
        left, bottom, right, top = self.boxes.T[:, :, None]
        inside = (left <= px) & (px <= right) & (bottom <= py) & (py <= top)
        inside[self.area, np.arange(_NUM_RAYS)] = False
        return np.where(inside.any(0), inside.argmax(0), -1)

    def surfaces(self) -> Surfaces:
        middle = slice(_NUM_RAYS * 3 // 8, _NUM_RAYS * 5 // 8)
        ahead = float(self.end_depth[middle].min()) / UNITS_PER_METRE
        return Surfaces(self.sums[0], self.sums[1], self.sums[2], ahead)


def _rows(height: float | np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Returns rows from the horizon of a height at a depth, as a share of the side, to 1/2."""
    return np.minimum(_VERTICAL_FOCAL * height / np.maximum(depth, 1e-6), 0.5)


def view_of(world_map: Map, pose: Pose, surfaces: Surfaces, labels: Sequence[Label] = ()) -> View:
    """Returns the view that follows from the rays and the labels of one frame."""
    seen, faint = _objects(pose, labels)
    rooms = world_map.rooms
    count = len(rooms)
    shares = [surfaces.wall_A[:count], surfaces.floor_A[:count], surfaces.ceiling_A[:count]]
    wall, wall_clear = _ruler([room.wall for room in rooms], shares[0], surfaces.wall_A.sum(), 0.1)
    floor, floor_clear = _ruler(
        [room.floor for room in rooms], shares[1], surfaces.floor_A.sum(), 0.06
    )
    ceiling, ceiling_clear = _ruler(
        [room.ceiling for room in rooms], shares[2], surfaces.ceiling_A.sum(), 0.06
    )
    whole = shares[0] + shares[1] + shares[2]
    light, light_clear = _ruler([room.light for room in rooms], whole, whole.sum(), 0.2)
    return View(
        map_seed=world_map.seed,
        pose=pose,
        room=rooms[int(whole.argmax())].name,
        wall=wall,
        floor=floor,
        ceiling=ceiling,
        light=light,
        clear=wall_clear and floor_clear and ceiling_clear and light_clear,
        objects=tuple(seen),
        faint=tuple(faint),
    )


def _ruler(names: list[str], shares: np.ndarray, total: float, least: float) -> tuple[str, bool]:
    """Returns the largest share's name, and whether it is ``least`` and 3/4 of ``total``."""
    sums: dict[str, float] = {}
    for name, share in zip(names, shares, strict=True):
        sums[name] = sums.get(name, 0.0) + float(share)
    best = max(sums, key=lambda name: sums[name])
    return best, bool(sums[best] >= least and sums[best] >= 0.75 * total)


def _objects(pose: Pose, labels: Sequence[Label]) -> tuple[list[SeenObject], list[str]]:
    """Returns visible objects from left to right, and the names of those that are too faint."""
    seen, faint = [], []
    for label in labels:
        side_pixels = label.mask.shape[0]
        columns = np.flatnonzero(label.mask.any(0))
        if not columns.size:
            continue
        rows = np.flatnonzero(label.mask.any(1))
        left, right = columns[0] / side_pixels, (columns[-1] + 1) / side_pixels
        top, bottom = rows[0] / side_pixels, (rows[-1] + 1) / side_pixels
        if right - left < _MIN_BOX_WIDTH or label.mask.mean() < _MIN_MASK_SHARE:
            faint.append(label.name)
            continue
        kind = KIND_OF_NAME[label.name]
        distance = math.hypot(
            label.x / UNITS_PER_METRE - pose.x_metres, label.y / UNITS_PER_METRE - pose.y_metres
        )
        side = ("left", "middle", "right")[min(int((left + right) / 2 * 3), 2)]
        box = (round(left, 3), round(top, 3), round(right, 3), round(bottom, 3))
        seen.append(
            SeenObject(
                kind.name,
                kind.noun,
                kind.colour,
                side,
                round(distance, 2),
                distance < _NEAR_METRES,
                box,
            )
        )
    return sorted(seen, key=lambda one: one.box[0]), sorted(set(faint))
