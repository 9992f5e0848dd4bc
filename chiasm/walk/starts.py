"""Where walks begin: held-out views of a run's places, or any picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.capabilities import ActionVideos, Browsable, Rendered
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.pictures import fitted
from chiasm.poses import Pose
from chiasm.rgb import ImageShape, opened

MOST_PICTURE_PIXELS = 50_000_000
"""Of a picture that is given; what a file unpacks to is known before it is unpacked."""

LEAST_SIDE_PIXELS = 8
"""Of a picture that is given; what is enlarged from less shows nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pose where an engine can show what is truly seen."""

    place: int
    """The map."""
    pose: Pose


@dataclass(frozen=True, eq=False)
class Start:
    """Where a walk begins."""

    name: str
    view: np.ndarray
    """uint8 [H, W, 3]."""
    place: Place | None = None
    """Known where an engine can show what is seen there."""


class Starts(Sequence[Start]):
    """The held-out views of a run, source by source.

    Their order scatters them over maps and trajectories, the same way every time.

    Args:
        shape: of the views that the model reads.
        sources: held-out walks by name; those of which an engine shows the truth come first.
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
        """One start.

        Raises:
            IndexError: there are fewer.
            UserError: a recorded picture cannot be decoded.
        """
        return self._start(*self._frames[number])

    def name_of(self, number: int) -> str:
        """Its name, without decoding its picture."""
        return self._name(*self._frames[number])

    def at(self, map_number: int, view: int) -> Start:
        """A view by the number of its held-out map or trajectory and its own there, from 0.

        Raises:
            UserError: there is no such map or view, or no held-out views at all.
        """
        places = [
            (name, place) for name, source in self._sources.items() for place in _places(source)
        ]
        _inside("--map", map_number, len(places), "held-out maps or trajectories")
        name, place = places[map_number]
        _inside("--view", view, len(place), f"views of number {map_number}")
        return self._start(name, place[view])

    @property
    def rendered(self) -> Rendered | None:
        """The source whose engine shows the truth, where there is one."""
        first = next(iter(self._sources.values()), None)
        return first if isinstance(first, Rendered) else None

    def _start(self, name: str, frame: int) -> Start:
        source, place = self._sources[name], None
        if source is self.rendered:  # of one engine at a time
            place = Place(source.place_of(frame), source.pose(frame))
        view = fitted(source.picture(frame), self._shape)
        return Start(self._name(name, frame), view, place)

    def _name(self, name: str, frame: int) -> str:
        source = self._sources[name]
        return (
            source.view_name(frame) if isinstance(source, Browsable) else f"{name}, frame {frame}"
        )


def _worth_beginning(source: ActionVideos) -> np.ndarray:
    """Numbers of the frames that a walk may well begin at."""
    if isinstance(source, Browsable):
        return source.clear_frames
    return np.concatenate([np.asarray(walk) for walk in source.walks])


def _places(source: ActionVideos) -> Sequence[range]:
    """The frames of each map or trajectory."""
    return source.views if isinstance(source, Browsable) else source.walks


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
