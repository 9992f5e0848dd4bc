"""A rendered world: frames, their ground truth and the walks among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from chiasm.actions import Action
from chiasm.documents import Split
from chiasm.poses import Pose
from chiasm.worlds.hearing import HeardSound, Hearing
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.truth import SeenObject, View

SOUNDS = "sounds.npy"
"""File of what is heard in each frame, of a world with sounds."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk: numbers of the frames before and after, and the action between."""

    before: int
    action: Action
    after: int
    map_seed: int


class World:
    """Frames and ground truth of one split; frames stay on disk, and are views of the file."""

    def __init__(self, folder: Path, settings: WorldSettings, split: Split) -> None:
        self.folder = folder
        self.settings = settings
        self.split = split
        # uint8 [M, side, side, 3]; as a plain array, of which a frame is taken in half the time.
        self.frames = np.asarray(np.load(folder / "frames.npy", mmap_mode="r"))
        # int16 [M, left and right, N], of which a frame's sound is read when it is due.
        self.sounds = np.load(folder / SOUNDS, mmap_mode="r") if settings.sounds else None
        with (folder / "views.jsonl").open() as lines:
            self.views = [view_from_json(line) for line in lines]

    def __reduce__(self) -> tuple[type[World], tuple[Path, WorldSettings, Split]]:
        """Returns what another process needs to open the same files instead of receiving a copy."""
        return World, (self.folder, self.settings, self.split)

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[tuple[np.ndarray, View]]:
        return zip(self.frames, self.views, strict=True)

    @cached_property
    def map_of_frame(self) -> np.ndarray:
        """Map seed of each frame, int64 [M]: the clusters of standard errors."""
        return np.array([view.map_seed for view in self.views], np.int64)

    @cached_property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames about which captions and questions are unambiguous."""
        return np.flatnonzero([view.clear for view in self.views])

    @cached_property
    def walks(self) -> list[range]:
        """Frame numbers of each walk, in order; poses are those of ``views``."""
        s = self.settings
        return [
            range(first, first + s.frames_per_walk)
            for start in range(s.views_per_map, len(self), s.frames_per_map)
            for first in range(
                start, start + s.walks_per_map * s.frames_per_walk, s.frames_per_walk
            )
        ]

    @cached_property
    def steps(self) -> list[Step]:
        """Every step of every walk."""
        return [self.step(a, b) for walk in self.walks for a, b in pairwise(walk)]

    def step(self, before: int, after: int) -> Step:
        """Returns the step between two frames of one walk; back takes as long as there."""
        first, second = self.views[before], self.views[after]
        action = Action.between(first.pose, second.pose, abs(after - before))
        return Step(before, action, after, first.map_seed)


def view_to_json(view: View) -> str:
    """Returns one line of ``views.jsonl``, which tells of sounds only where the world has any."""
    fields = asdict(view)
    if view.hearing is None:
        del fields["hearing"]
    return json.dumps(fields)


def view_from_json(line: str) -> View:
    """Returns the view of a line: the inverse of :func:`view_to_json`."""
    fields = json.loads(line)
    fields["pose"] = Pose(**fields["pose"])
    fields["objects"] = tuple(
        SeenObject(**(seen | {"box": tuple(seen["box"])})) for seen in fields["objects"]
    )
    fields["faint"] = tuple(fields["faint"])
    if heard := fields.get("hearing"):
        sounds = tuple(HeardSound(**sound) for sound in heard["sounds"])
        fields["hearing"] = Hearing(sounds, tuple(heard["faint"]))
    return View(**fields)
