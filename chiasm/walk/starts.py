"""Where walks begin: held-out views of a world or of recorded walks, or any picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.documents import ActionVideos, Image
from chiasm.errors import UserError
from chiasm.inference.pictures import fitted
from chiasm.poses import Pose
from chiasm.rgb import ImageShape, opened
from chiasm.worlds import World

MOST_PICTURE_PIXELS = 50_000_000
"""Of a picture that is given; what a file unpacks to is known before it is unpacked."""

LEAST_SIDE_PIXELS = 8
"""Of a picture that is given; what is enlarged from less shows nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pose on a map of the embedded world."""

    map_seed: int
    pose: Pose


@dataclass(frozen=True, eq=False)
class Start:
    """Where a walk begins."""

    name: str
    view: np.ndarray
    """uint8 [H, W, 3]."""
    place: Place | None = None
    """Known where the embedded world was pictured."""


class Starts(Sequence[Start]):
    """The held-out views of a run's embedded world, then those of its recorded walks.

    Their order scatters them over maps and trajectories, the same way every time.

    Args:
        shape: of the views that the model reads.
        world: held-out maps.
        recorded: held-out trajectories, by the name of their source.
    """

    def __init__(
        self,
        shape: ImageShape,
        world: World | None = None,
        recorded: dict[str, ActionVideos] | None = None,
    ) -> None:
        self._shape, self._world = shape, world
        self._recorded = recorded or {}
        frames: list[tuple[str, int]] = []
        if world is not None:
            clear = world.clear_frames
            frames += [("", int(n)) for n in np.random.default_rng(0).permutation(clear)]
        for name, source in self._recorded.items():
            own = np.concatenate([np.asarray(walk) for walk in source.walks])
            frames += [(name, int(n)) for n in np.random.default_rng(0).permutation(own)]
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Start:  # type: ignore[override]
        """One start.

        Raises:
            IndexError: there are fewer.
            UserError: a recorded picture cannot be decoded.
        """
        name, frame = self._frames[number]
        return self._recorded_start(name, frame) if name else self._world_start(frame)

    def name_of(self, number: int) -> str:
        """Its name, without decoding its picture."""
        name, frame = self._frames[number]
        return f"{name}, frame {frame}" if name else self._world_name(frame)

    def at(self, map_number: int, view: int) -> Start:
        """A view by its map's number among the held-out ones and its own on that map, from 0.

        Without an embedded world they are the number of a trajectory and of a frame of it.

        Raises:
            UserError: there is no such map or view, or no held-out views at all.
        """
        if self._world is not None:
            settings = self._world.settings
            _inside("--map", map_number, settings.num_maps(self._world.split), "held-out maps")
            _inside("--view", view, settings.frames_per_map, "views of a map")
            return self._world_start(map_number * settings.frames_per_map + view)
        walks = [(name, walk) for name, source in self._recorded.items() for walk in source.walks]
        _inside("--map", map_number, len(walks), "held-out trajectories")
        name, walk = walks[map_number]
        _inside("--view", view, len(walk), f"frames of trajectory {map_number}")
        return self._recorded_start(name, walk[view])

    def _world_start(self, frame: int) -> Start:
        assert self._world is not None
        seen = self._world.views[frame]
        picture = fitted(Image(self._world.frames[frame], target=False), self._shape)
        place = Place(seen.map_seed, seen.pose)
        return Start(self._world_name(frame), picture, place)

    def _world_name(self, frame: int) -> str:
        assert self._world is not None
        map_number, view = divmod(frame, self._world.settings.frames_per_map)
        return f"map {map_number}, view {view}"

    def _recorded_start(self, name: str, frame: int) -> Start:
        picture = fitted(self._recorded[name].picture(frame), self._shape)
        return Start(f"{name}, frame {frame}", picture)


def given_picture(encoded: bytes, shape: ImageShape, name: str) -> Start:
    """A picture file's content as a start, cropped and scaled to the model's views.

    Raises:
        UserError: it cannot be decoded, or is too large or too small.
    """
    refuse_useless_picture(encoded, name)
    return Start(name, fitted(Image(encoded, target=False), shape))


def refuse_useless_picture(encoded: bytes, name: str) -> None:
    """Read a picture file's header alone.

    Raises:
        UserError: it has none, or the picture is too large or too small.
    """
    with opened(encoded, name) as picture:
        width, height = picture.size
    if width * height > MOST_PICTURE_PIXELS:
        raise UserError(
            f"picture {name} has {width} x {height} pixels; give {MOST_PICTURE_PIXELS:,} at most"
        )
    if min(width, height) < LEAST_SIDE_PIXELS:
        raise UserError(
            f"picture {name} has {width} x {height} pixels; give {LEAST_SIDE_PIXELS} at least on "
            "the shorter side"
        )


def _inside(option: str, value: int, count: int, what: str) -> None:
    if not 0 <= value < count:
        given = f"give 0 to {count - 1}" if count else "give a picture with --image instead"
        raise UserError(f"{option} {value}: there are {count} {what}; {given}")
