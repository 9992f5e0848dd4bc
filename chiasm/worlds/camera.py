"""The engine as a camera in the maps of a world, with the collisions of steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from chiasm.documents import Split
from chiasm.poses import Pose
from chiasm.worlds.engine import Engine
from chiasm.worlds.maps import UNITS_PER_METRE, Map, generate_map
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.settings import HELD_OUT_FIRST_SEED, WorldSettings, map_seed
from chiasm.worlds.worker import take

_MARGIN_UNITS, _CLEARANCE_UNITS = 36.0, 68.0


class WorldCamera(ExitStack):
    """Renders the maps of one split; its engine starts with the first image.

    Places are the seeds of maps.
    """

    def __init__(self, world: WorldSettings, split: Split) -> None:
        super().__init__()
        self._world, self._split = world, split
        self._engine: Engine | None = None
        self._archive = -1
        self._maps: list[Map] = []
        self._walked: Map | None = None

    def look(self, place: int, poses: Sequence[Pose]) -> list[np.ndarray]:
        """Returns the views at some poses of a map, on whole units: uint8 [side, side, 3] each.

        What moves in the engine (water, flames) is caught in whatever state it is.
        """
        engine, world_map = self._open(place)
        side = self._world.image_pixels
        return [take(engine, world_map, _nudged(pose), side)[0] for pose in poses]

    def stopped(self, place: int, pose: Pose, goal: Pose) -> Pose:
        """Returns the goal of a step, or the pose at which the step is stopped, with the goal's
        heading.

        A step is free if all its quarters keep the distance from walls and objects that numeric
        walks keep (less 8 cm, since actions are written with few decimals). One that is not ends at
        its last free quarter, with its turn taken.
        """
        if self._walked is None or self._walked.seed != place:
            self._walked = generate_map(self._world.seed, place)
        world_map = self._walked
        east, north = goal.x_metres - pose.x_metres, goal.y_metres - pose.y_metres
        free = Pose(pose.x_metres, pose.y_metres, goal.yaw_degrees)
        for part in (0.25, 0.5, 0.75):
            next_x, next_y = pose.x_metres + part * east, pose.y_metres + part * north
            if not _is_free(world_map, next_x, next_y):
                return free
            free = Pose(next_x, next_y, goal.yaw_degrees)
        return goal if _is_free(world_map, goal.x_metres, goal.y_metres) else free

    def settled(self, pose: Pose) -> Pose:
        """Returns the pose on whole units, as the engine takes it."""
        return Pose(
            round(pose.x_metres * UNITS_PER_METRE) / UNITS_PER_METRE,
            round(pose.y_metres * UNITS_PER_METRE) / UNITS_PER_METRE,
            round(pose.yaw_degrees, 3),
        )

    def _open(self, seed: int) -> tuple[Engine, Map]:
        """Returns the map and an engine that has just entered it, so that motion starts anew."""
        archive, place = divmod(seed % HELD_OUT_FIRST_SEED, MAPS_PER_ARCHIVE)
        if archive != self._archive or self._engine is None:
            self.close()
            first = archive * MAPS_PER_ARCHIVE
            end = min(first + MAPS_PER_ARCHIVE, self._world.num_maps(self._split))
            self._maps = [
                generate_map(self._world.seed, map_seed(self._split, number))
                for number in range(first, end)
            ]
            self._engine = self.enter_context(Engine(self._maps))
            self._archive = archive
        self._engine.open_map(place)
        return self._engine, self._maps[place]


def _is_free(world_map: Map, x_metres: float, y_metres: float) -> bool:
    x, y = round(x_metres * UNITS_PER_METRE), round(y_metres * UNITS_PER_METRE)
    return world_map.is_free(x, y, _MARGIN_UNITS, _CLEARANCE_UNITS)


def _nudged(pose: Pose) -> Pose:
    """Returns the pose a quarter unit on: the engine truncates, and 0.58 m would be 28 units."""
    quarter = 0.25 / UNITS_PER_METRE
    return Pose(pose.x_metres + quarter, pose.y_metres + quarter, pose.yaw_degrees)
