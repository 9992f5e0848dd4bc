"""The ground of a map: free places, and walking distances to goals.

Places are looked up once and kept, since a search asks for the same ones repeatedly, and so are the
distances to a goal, for which several searches ask; they are measured on a grid of ``_CELL`` map
units.

Shape suffixes: X and Y columns and rows of the grid.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from chiasm.poses import Pose
from chiasm.worlds.maps import UNITS_PER_METRE, Area, Map

_CELL = 16
_CELL_METRES = _CELL / UNITS_PER_METRE
_NEIGHBOURS = [
    (across, up, math.hypot(across, up) * _CELL_METRES)
    for across, up in product((-1, 0, 1), repeat=2)
    if across or up
]
"""Columns and rows to each of the eight cells around one, and the metres to it."""
_DETOUR = 1.09  # at most so much longer is a way along a grid's eight directions


class Ground:
    """Free places of one map."""

    def __init__(self, world_map: Map) -> None:
        self.map = world_map
        self._known: dict[tuple[int, int], bool] = {}
        self._distances: dict[tuple[tuple[Area, float, float, float], ...], Distances] = {}
        areas = [room.area for room in world_map.rooms]
        self._x_X = np.arange(min(a.left for a in areas), max(a.right for a in areas), _CELL)
        self._y_Y = np.arange(min(a.bottom for a in areas), max(a.top for a in areas), _CELL)
        self._cells_XY = np.array(
            [[world_map.is_free(int(x), int(y)) for y in self._y_Y] for x in self._x_X]
        )

    def is_free(self, x_metres: float, y_metres: float) -> bool:
        """Returns whether one may stand there: the map's own margins from walls and objects."""
        place = round(x_metres * UNITS_PER_METRE), round(y_metres * UNITS_PER_METRE)
        if place not in self._known:
            self._known[place] = self.map.is_free(*place)
        return self._known[place]

    def is_free_path(self, before: Pose, after: Pose) -> bool:
        """Returns whether a straight step is free, checked at every quarter as in numeric walks."""
        east, north = after.x_metres - before.x_metres, after.y_metres - before.y_metres
        return all(
            self.is_free(before.x_metres + part * east, before.y_metres + part * north)
            for part in (1.0, 0.75, 0.5, 0.25)
        )

    def draw_pose(self, rng: np.random.Generator) -> Pose:
        """Returns a free place in some room, on whole map units, with any heading."""
        area = self.map.rooms[int(rng.integers(len(self.map.rooms)))].area
        while True:
            x = int(rng.integers(area.left, area.right + 1)) / UNITS_PER_METRE
            y = int(rng.integers(area.bottom, area.top + 1)) / UNITS_PER_METRE
            if self.is_free(x, y):
                return Pose(x, y, round(float(rng.uniform(0, 360)), 3))

    def distances(self, goals: Iterable[tuple[Area, float, float, float]]) -> Distances:
        """Returns distances on foot to the nearest of some discs, each cut off by a room.

        ``goals``: the box of the room, x, y and radius of each disc, all in map units.
        """
        discs = tuple(goals)
        if discs not in self._distances:
            self._distances[discs] = self._measured(discs)
        return self._distances[discs]

    def _measured(self, discs: Iterable[tuple[Area, float, float, float]]) -> Distances:
        x_X, y_Y = self._x_X[:, None], self._y_Y[None, :]
        there_XY = np.zeros(self._cells_XY.shape, bool)
        for area, x, y, radius in discs:
            inside_X = (area.left <= x_X) & (x_X <= area.right)
            inside_Y = (area.bottom <= y_Y) & (y_Y <= area.top)
            there_XY |= inside_X & inside_Y & ((x_X - x) ** 2 + (y_Y - y) ** 2 <= radius**2)
        metres_XY = _spread(self._cells_XY, there_XY & self._cells_XY)
        return Distances(metres_XY, int(self._x_X[0]), int(self._y_Y[0]))


class Distances:
    """Lower bounds of the walking distance from anywhere to a goal."""

    def __init__(self, metres_XY: np.ndarray, left: int, bottom: int) -> None:
        self._left, self._bottom = left, bottom
        # Both ends may lie between the grid's points.
        padded = np.pad(metres_XY, 2, constant_values=np.inf)
        nearest = sliding_window_view(padded, (3, 3)).min(axis=(2, 3))
        self._bounds: list[list[float]] = np.maximum(0.0, nearest / _DETOUR - _CELL_METRES).tolist()

    def metres(self, pose: Pose) -> float:
        """Returns the lower bound; infinite where no way leads to the goal."""
        x = round((pose.x_metres * UNITS_PER_METRE - self._left) / _CELL) + 1
        y = round((pose.y_metres * UNITS_PER_METRE - self._bottom) / _CELL) + 1
        inside = 0 <= x < len(self._bounds) and 0 <= y < len(self._bounds[0])
        return self._bounds[x][y] if inside else math.inf


def _spread(cells_XY: np.ndarray, there_XY: np.ndarray) -> np.ndarray:
    """Returns Dijkstra's distances from the goal over free cells: float [X, Y], metres."""
    # Lists, whose single items are read in a third of an array's time.
    metres: list[list[float]] = np.where(there_XY, 0.0, np.inf).tolist()
    free: list[list[bool]] = cells_XY.tolist()
    front = [(0.0, int(x), int(y)) for x, y in np.argwhere(there_XY)]
    width, height = cells_XY.shape
    while front:
        so_far, x, y = heapq.heappop(front)
        if so_far > metres[x][y]:
            continue
        for across, up, way in _NEIGHBOURS:
            a, b = x + across, y + up
            if 0 <= a < width and 0 <= b < height and free[a][b]:
                further = so_far + way
                if further < metres[a][b]:
                    metres[a][b] = further
                    heapq.heappush(front, (further, a, b))
    return np.array(metres)
