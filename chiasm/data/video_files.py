"""The kind ``video``: clips of users' video files."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from chiasm.data.clips import Sampling, VideoSource
from chiasm.data.columns import MediumSettings, Reader
from chiasm.data.media import VIDEO, Medium
from chiasm.data.source import SOURCES, Opened, Opening, check_task
from chiasm.video.rule import Matrix

TASKS = ("video", "captioned_video")


@SOURCES.register
class VideoSettings(MediumSettings):
    """Clips of video files, with or without captions."""

    kind: Literal["video"] = "video"
    task: str = "video"
    """video: frames alone; captioned_video: frames and a caption, in both directions."""
    video_column: str = ""
    """Column with paths of videos; empty: the first with a usual name."""
    text_column: str = ""
    """Column with the caption; empty: the first with a usual name. Not read for the task video."""
    frames: int = Field(8, ge=1)
    """Frames of a clip."""
    frames_per_second: float = Field(4.0, gt=0)
    """Rate at which frames are taken, whatever the file's own."""
    frame_stride: int = Field(0, ge=0)
    """Every so many frames of the file are taken instead; 0: frames_per_second counts."""
    clip_spacing: int = Field(0, ge=0)
    """Taken frames from the begin of a clip to that of the next; fewer than frames overlap; 0: as
    many as frames."""
    clips_per_file: int = Field(0, ge=0)
    """Most clips of a file, spread evenly over it; 0: all."""
    sound: bool = False
    """Whether each frame is followed by what is heard until the next one, as an item of the stream
    sound: give that ``seconds = 1 / frames_per_second``."""
    untagged_matrix: Matrix = "by_size"
    """Color matrix of files that do not name theirs; by_size: bt709 for HD, else bt601."""

    medium: ClassVar[Medium] = VIDEO
    held_out_by: ClassVar[str] = "videos"
    example: ClassVar[tuple[str, ...]] = ("a barn door opens",)
    otherwise: ClassVar[str] = ', or set task = "video" to read frames alone'

    def check(self) -> None:
        """Refuses a missing path, an unknown task, and sound without a rate.

        Raises:
            UserError: one of them.
        """
        check_task(self, self.task, TASKS)
        if self.sound and self.frame_stride:
            why = "leaves the time between frames to each file, and items of sound have one length"
            raise self.error("frame_stride", why, "set frames_per_second, or leave sound out")
        super().check()

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes clips of files, with captions or alone."""
        return partial(VideoSource, sampling=self._sampling, captioned=not alone)

    def open(self, name: str, opening: Opening, *, alone: bool = False) -> Opened:
        """Returns both sides; ``alone``: without captions, whatever the task."""
        return super().open(name, opening, alone=alone or self.task == "video")

    @property
    def _sampling(self) -> Sampling:
        return Sampling(
            self.frames,
            None if self.frame_stride else Fraction(str(self.frames_per_second)),
            self.frame_stride,
            self.clip_spacing or self.frames,
            self.clips_per_file,
            self.untagged_matrix,
            self.sound,
        )
