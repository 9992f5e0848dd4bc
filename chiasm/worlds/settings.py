"""Numbers of maps and images of an embedded world; read without the engine."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator

from chiasm.documents import Split
from chiasm.settings import Settings
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE

TASKS = ("text", "image_text", "video", "action_video", "vqa")
"""Kinds of documents that show a world's frames."""
SOUND_TASKS = ("sound_text", "image_sound", "action_video_sound", "aqa")
"""Kinds of documents with what is heard there."""
INVERSE = "inverse_dynamics"
"""Two views of a walk, and then the action between them."""
HELD_OUT_FIRST_SEED = 1_000_000
"""Training maps have seeds below, held-out maps from here on."""


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
    returns: float = Field(0.0, ge=0, le=1)
    """Share of action videos that turn back on their way, over the same frames to the first."""
    sounds: bool = False
    """Whether skulls, barrels and torches sound; tasks with sound need it."""

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

    @model_validator(mode="after")
    def _check_returns(self) -> WorldSettings:
        if self.returns and self.action_video_frames[1] < 3:
            raise ValueError(
                f"returns = {self.returns}, but action_video_frames = {self.action_video_frames} "
                "leave no room for a way there and back: give 3 frames or more"
            )
        return self

    @property
    def frames_per_map(self) -> int:
        """Number of frames of a map: still views, then the walks' frames."""
        return self.views_per_map + self.walks_per_map * self.frames_per_walk

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.image_pixels, self.image_pixels, 3

    def num_maps(self, split: Split) -> int:
        """Returns the number of maps of the split."""
        return self.train_maps if split is Split.TRAIN else self.held_out_maps

    def num_archives(self, split: Split) -> int:
        """Returns the number of archives that carry the split's maps to the engine."""
        return -(-self.num_maps(split) // MAPS_PER_ARCHIVE)

    def rendering(self, split: Split) -> dict[str, int]:
        """Returns the settings that the split's images depend on: not the other split's size."""
        other = {"train_maps", "held_out_maps"}
        other |= {"video_frames", "action_video_frames", "horizon_frames", "returns"}
        return self.model_dump(exclude=other) | {"maps": self.num_maps(split)}


def map_seed(split: Split, number: int) -> int:
    """Returns the seed of the split's ``number``-th map (from 0; a million for each split)."""
    return number % HELD_OUT_FIRST_SEED + HELD_OUT_FIRST_SEED * (split is Split.HELD_OUT)
