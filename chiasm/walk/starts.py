"""Starts of walks: held-out views of a run's places, or any picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from chiasm.capabilities import ActionVideos, Browsable, PosedVideos, Rendered
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.pictures import fitted
from chiasm.poses import Pose, relative_pose
from chiasm.rgb import ImageShape, decoded, opened

MOST_PICTURE_PIXELS = 50_000_000
"""Largest size of a user's picture, checked by its header before it is decoded."""

LEAST_SIDE_PIXELS = 8
"""Least side of a user's picture; a smaller one shows nothing when it is enlarged."""

_VIEWS_COMPARED, _STEPS_AHEAD = 2000, 20
"""Bounds on what is looked at for the view that a walk begins with by default."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pose where an engine can render the true view."""

    place: int
    """Number of the map."""
    pose: Pose


@dataclass(frozen=True, eq=False)
class Start:
    """The first view of a walk."""

    name: str
    view: np.ndarray
    """uint8 [H, W, 3]."""
    place: Place | None = None
    """None if no engine can render the true view."""


class Starts(Sequence[Start]):
    """The held-out views of a run, source by source.

    Their order within a source is a fixed shuffle, which spreads them over maps and trajectories.

    Args:
        shape: shape of the views that the model reads.
        sources: held-out walks by name; those with an engine come first.
    """

    def __init__(
        self, shape: ImageShape, sources: Mapping[str, ActionVideos] | None = None
    ) -> None:
        self._shape = shape
        ordered = sorted(
            (sources or {}).items(), key=lambda item: not isinstance(item[1], Rendered)
        )
        self._sources = dict(ordered)
        self._frames: list[tuple[str, int]] = []
        for name, source in self._sources.items():
            shuffled = np.random.default_rng(0).permutation(_worth_beginning(source))
            self._frames += [(name, int(frame)) for frame in shuffled]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Start:  # type: ignore[override]
        """Returns one start.

        Raises:
            IndexError: there are fewer.
            UserError: a recorded picture cannot be decoded.
        """
        return self._start(*self._frames[number])

    def name_of(self, number: int) -> str:
        """Returns the name of a start without decoding its picture."""
        return self._name(*self._frames[number])

    def open_way(self) -> Start | None:
        """Returns a start with a long way straight ahead, as far as recorded walks tell.

        The first one where no poses are known; None without any.
        """
        name, source = next(iter(self._sources.items()), ("", None))
        if isinstance(source, PosedVideos) and (found := _on_walks(source)):
            return self._start(name, max(found, key=partial(_metres_ahead, source))[0])
        return self[0] if len(self) else None

    def at(self, map_number: int, view: int) -> Start:
        """Returns a start by the numbers, from 0, of its held-out map or trajectory and its view.

        Raises:
            UserError: there is no such map or view, or no held-out views at all.
        """
        places = [
            (name, place) for name, source in self._sources.items() for place in _places(source)
        ]
        _inside("--map", map_number, len(places), "held-out maps or trajectories")
        name, place = places[map_number]
        _inside("--view", view, len(place), f"views of --map {map_number}")
        return self._start(name, place[view])

    @property
    def rendered(self) -> Rendered | None:
        """Source whose engine renders true views, if there is one."""
        first = next(iter(self._sources.values()), None)
        return first if isinstance(first, Rendered) else None

    def _start(self, name: str, frame: int) -> Start:
        source, place = self._sources[name], None
        if source is self.rendered:  # only one engine runs
            place = Place(source.place_of(frame), source.pose(frame))
        view = fitted(source.picture(frame), self._shape)
        return Start(self._name(name, frame), view, place)

    def _name(self, name: str, frame: int) -> str:
        source = self._sources[name]
        return (
            source.view_name(frame) if isinstance(source, Browsable) else f"{name}, frame {frame}"
        )


def _worth_beginning(source: ActionVideos) -> np.ndarray:
    """Returns the numbers of frames that are good starts."""
    if isinstance(source, Browsable):
        return source.clear_frames
    return np.concatenate([np.asarray(walk) for walk in source.walks])


def _on_walks(source: ActionVideos) -> list[range]:
    """Returns good starts with the frames of their walks from there on, evenly spread."""
    good = set(_worth_beginning(source).tolist())
    found = [walk[n:] for walk in source.walks for n, frame in enumerate(walk) if frame in good]
    return found[:: len(found) // _VIEWS_COMPARED + 1]


def _metres_ahead(source: PosedVideos, frames: range) -> float:
    """Returns how far a walk goes straight ahead from its first frame."""
    first, reached = source.pose(frames[0]), 0.0
    for frame in frames[1 : _STEPS_AHEAD + 1]:
        dx, dy, _ = relative_pose(first, source.pose(frame))
        if dx <= reached or abs(dy) > 0.1 * dx:
            break
        reached = dx
    return reached


def _places(source: ActionVideos) -> Sequence[range]:
    """Returns the frames of each map or trajectory."""
    return source.views if isinstance(source, Browsable) else source.walks


def given_picture(encoded: bytes, shape: ImageShape, name: str) -> Start:
    """Returns a picture file's content as a start, cropped and resized to the model's views.

    Raises:
        UserError: it cannot be decoded, or is too large or too small.
    """
    return Start(name, fitted(Image(useful_picture(encoded, name), target=False), shape))


def useful_picture(encoded: bytes, name: str) -> np.ndarray:
    """Returns a picture file's content decoded, uint8 [H, W, 3], if its header's size is useful.

    Raises:
        UserError: it cannot be decoded, or is too large or too small.
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
    return decoded(encoded, name)


def _inside(option: str, value: int, count: int, what: str) -> None:
    if not 0 <= value < count:
        given = f"give 0 to {count - 1}" if count else "give a picture with --image instead"
        raise UserError(f"{option} {value}: there are {count} {what}; {given}")
