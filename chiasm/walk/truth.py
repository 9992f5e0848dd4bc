"""Where a step leads on a map of the embedded world, and the view that the engine shows there."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from chiasm.actions import Action
from chiasm.poses import Pose, compose
from chiasm.walk.starts import Place
from chiasm.worlds import World
from chiasm.worlds.engine import Engine
from chiasm.worlds.maps import UNITS_PER_METRE, Map, generate_map
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.worker import take
from chiasm.worlds.world import map_seed

_PATH_PARTS = (0.25, 0.5, 0.75, 1.0)


class Truth:
    """Maps of one split; the engine starts when a view is first asked for.

    Args:
        maps: of the split, in order: each is shown from the archive that its world was rendered
            from, because what the engine shows depends on it.
        image_pixels: side of the pictures.
    """

    def __init__(self, maps: Sequence[Map], image_pixels: int) -> None:
        self._maps = list(maps)
        self._number_of = {world_map.seed: n for n, world_map in enumerate(maps)}
        self._image_pixels = image_pixels
        self._lock = Lock()
        self._engine: Engine | None = None
        self._opened: tuple[int, int] | None = None

    @classmethod
    def of(cls, world: World) -> Truth:
        """The maps of a rendered world, seen as its pictures were."""
        settings, split = world.settings, world.split
        maps = [
            generate_map(settings.seed, map_seed(split, number))
            for number in range(settings.num_maps(split))
        ]
        return cls(maps, settings.image_pixels)

    def after(self, place: Place, action: Action) -> tuple[Place, bool]:
        """Where a step leads, and whether it was blocked.

        Where its way is not free (walks of training keep as far from walls and objects), nothing is
        left of it but its turn.
        """
        world_map = self._maps[self._number_of[place.map_seed]]
        before = place.pose
        x, y, yaw = _rounded(compose(before, action.step))
        free = all(
            world_map.is_free(
                (before.x_metres + part * (x - before.x_metres)) * UNITS_PER_METRE,
                (before.y_metres + part * (y - before.y_metres)) * UNITS_PER_METRE,
            )
            for part in _PATH_PARTS
        )
        pose = Pose(x, y, yaw) if free else Pose(before.x_metres, before.y_metres, yaw)
        return Place(place.map_seed, pose), not free

    def view(self, place: Place) -> np.ndarray:
        """What is seen there: uint8 [side, side, 3]."""
        number = self._number_of[place.map_seed]
        with self._lock:
            engine = self._enter(*divmod(number, MAPS_PER_ARCHIVE))
            picture, _ = take(engine, self._maps[number], place.pose, self._image_pixels)
        return picture

    def close(self) -> None:
        """Stop the engine."""
        with self._lock:
            if self._engine is not None:
                self._engine.__exit__(None, None, None)
            self._engine = self._opened = None

    def _enter(self, archive: int, place: int) -> Engine:
        """The engine on a map, its archive's ``place``-th."""
        if self._engine is None or self._opened is None or self._opened[0] != archive:
            if self._engine is not None:
                self._engine.__exit__(None, None, None)
            first = archive * MAPS_PER_ARCHIVE
            self._engine = Engine(self._maps[first : first + MAPS_PER_ARCHIVE])
            self._opened = None
        if self._opened != (archive, place):
            self._engine.open_map(place)
            self._opened = archive, place
        return self._engine


def _rounded(pose: Pose) -> tuple[float, float, float]:
    """The engine stands on whole map units only."""
    x, y = (round(metres * UNITS_PER_METRE) for metres in (pose.x_metres, pose.y_metres))
    return x / UNITS_PER_METRE, y / UNITS_PER_METRE, pose.yaw_degrees
