"""A rendered world: frames, their ground truth and the walks among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from chiasm.actions import Action
from chiasm.poses import Pose
from chiasm.settings import Settings
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.truth import SeenObject, View

HELD_OUT_FIRST_SEED = 1_000_000
"""Training maps have seeds below, held-out maps from here on."""


class Split(StrEnum):
    """Which maps: the two splits share none."""

    TRAIN = "train"
    HELD_OUT = "held_out"


class WorldSettings(Settings):
    """How many maps and pictures an embedded world has."""

    seed: int = 0
    """Another seed gives other maps throughout."""
    train_maps: int = Field(100, ge=1, le=HELD_OUT_FIRST_SEED)
    """Maps to train on."""
    held_out_maps: int = Field(24, ge=1)
    """Maps that only evaluations see."""
    views_per_map: int = Field(40, ge=0)
    """Still views of each map."""
    walks_per_map: int = Field(4, ge=1)
    """Walks through each map."""
    frames_per_walk: int = Field(10, ge=2)
    """Frames of each walk, one step apart."""
    image_pixels: int = Field(64, ge=16, le=192)
    """Side of the square pictures."""
    video_frames: tuple[int, int] = (3, 5)
    """Fewest and most frames of a video document."""
    action_video_frames: tuple[int, int] = (2, 4)
    """Fewest and most frames of an action video document; the first is given, not drawn."""
    horizon_frames: tuple[int, int] = (1, 1)
    """Nearest and farthest next frame of an action video, drawn for each; actions say which."""

    @field_validator("video_frames", "action_video_frames")
    @classmethod
    def _check_frames(cls, value: tuple[int, int], info: ValidationInfo) -> tuple[int, int]:
        most = info.data.get("frames_per_walk", value[1])
        if not 2 <= value[0] <= value[1] <= most:
            raise ValueError(
                f"{info.field_name} = {value} must be two rising numbers from 2 to "
                f"frames_per_walk = {most}"
            )
        return value

    @model_validator(mode="after")
    def _check_horizon(self) -> WorldSettings:
        nearest, farthest = self.horizon_frames
        fewest = (self.action_video_frames[0] - 1) * nearest + 1
        if not 1 <= nearest <= farthest < self.frames_per_walk or fewest > self.frames_per_walk:
            raise ValueError(
                f"horizon_frames = {self.horizon_frames} must be two rising numbers from 1 on that "
                f"action_video_frames = {self.action_video_frames} leave room for in "
                f"frames_per_walk = {self.frames_per_walk}"
            )
        return self

    @property
    def frames_per_map(self) -> int:
        """Still views, then the walks' frames."""
        return self.views_per_map + self.walks_per_map * self.frames_per_walk

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.image_pixels, self.image_pixels, 3

    def num_maps(self, split: Split) -> int:
        """How many maps the split has."""
        return self.train_maps if split is Split.TRAIN else self.held_out_maps

    def num_archives(self, split: Split) -> int:
        """How many archives carry the split's maps to the engine."""
        return -(-self.num_maps(split) // MAPS_PER_ARCHIVE)

    def rendering(self, split: Split) -> dict[str, int]:
        """What the split's pictures depend on: not the other split's size."""
        other = {"train_maps", "held_out_maps"}
        other |= {"video_frames", "action_video_frames", "horizon_frames"}
        return self.model_dump(exclude=other) | {"maps": self.num_maps(split)}


def map_seed(split: Split, number: int) -> int:
    """Seed of the split's ``number``-th map (from 0; there are a million of each split)."""
    return number % HELD_OUT_FIRST_SEED + HELD_OUT_FIRST_SEED * (split is Split.HELD_OUT)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk: numbers of the frames before and after, and the action between."""

    before: int
    action: Action
    after: int
    map_seed: int


class World:
    """Frames and truth of one split; frames stay on disk and are served as views of the file."""

    def __init__(self, folder: Path, settings: WorldSettings, split: Split) -> None:
        self.folder = folder
        self.settings = settings
        self.split = split
        self.frames = np.load(folder / "frames.npy", mmap_mode="r")  # uint8 [M, side, side, 3]
        with (folder / "views.jsonl").open() as lines:
            self.views = [view_from_json(line) for line in lines]

    def __reduce__(self) -> tuple[type[World], tuple[Path, WorldSettings, Split]]:
        """Another process opens the same files instead of receiving a copy of them."""
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
        """Numbers of the frames about which captions and questions leave no doubt."""
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
        """The step between two frames of one walk."""
        first, second = self.views[before], self.views[after]
        action = Action.between(first.pose, second.pose, after - before)
        return Step(before, action, after, first.map_seed)


def view_to_json(view: View) -> str:
    """One line of ``views.jsonl``."""
    return json.dumps(asdict(view))


def view_from_json(line: str) -> View:
    """The inverse of :func:`view_to_json`."""
    fields = json.loads(line)
    fields["pose"] = Pose(**fields["pose"])
    fields["objects"] = tuple(
        SeenObject(**(seen | {"box": tuple(seen["box"])})) for seen in fields["objects"]
    )
    fields["faint"] = tuple(fields["faint"])
    return View(**fields)
