"""The kind ``video``: clips of users' video files."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from chiasm.data.clips import Sampling, VideoSource
from chiasm.data.columns import TableSettings, holds_files, text_column
from chiasm.data.folders import FolderSource
from chiasm.data.source import SOURCES, Opened, Opening, SourceFacts, check_task
from chiasm.data.table import Table
from chiasm.data.tables import choose_column
from chiasm.video.rule import Matrix

TASKS = ("video", "captioned_video")
_VIDEO = ("video", "file_name", "mp4", "webm", "mkv", "mov", "path", "file", "clip")


@SOURCES.register
class VideoSettings(TableSettings):
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
    untagged_matrix: Matrix = "by_size"
    """Color matrix of files that do not name theirs; by_size: bt709 for HD, else bt601."""

    media: ClassVar[str] = "video"
    held_out_by: ClassVar[str] = "videos"

    def check(self) -> None:
        """Refuses a missing path and an unknown task.

        Raises:
            UserError: the path is missing or the task is unknown.
        """
        check_task(self, self.task, TASKS)
        super().check()

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of captions."""
        return (text_column(table, self.text_column),)

    def image(self, table: Table) -> str:
        """Returns the column of videos; of usual names preferably one whose files exist.

        Raises:
            UserError: there is none.
        """
        usual = tuple(name for name in _VIDEO if name in table.columns)
        found = tuple(name for name in usual if holds_files(table, name))
        return choose_column(table, "video_column", self.video_column, found or usual or _VIDEO)

    def source_of(
        self, name: str, table: Table, *, sequence_length: int, alone: bool, **own: Any
    ) -> FolderSource:
        """Returns the clips of a table's files."""
        if not alone:
            self._refuse_videos_alone(table)
        words = () if alone else self.words(table)
        columns = (self.image(table), *words)
        return VideoSource(name, table, self._sampling, *columns, captioned=not alone, **own)

    def open(self, name: str, opening: Opening, *, alone: bool = False) -> Opened:
        """Returns both sides; ``alone``: without captions, whatever the task."""
        return super().open(name, opening, alone=alone or self.task == "video")

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; without ``captioned``, frames alone."""
        return self.open(name, opening, alone=not captioned)

    @property
    def _sampling(self) -> Sampling:
        return Sampling(
            self.frames,
            None if self.frame_stride else Fraction(str(self.frames_per_second)),
            self.frame_stride,
            self.clip_spacing or self.frames,
            self.clips_per_file,
            self.untagged_matrix,
        )

    def _facts(self, source: FolderSource, table: Table, root: Path, *, alone: bool) -> SourceFacts:
        facts = super()._facts(source, table, root, alone=alone)
        assert isinstance(source, VideoSource)
        return replace(facts, notes=(*facts.notes, *source.notes))

    def _shows_pictures(self, table: Table) -> bool:
        return bool(self.video_column) or holds_files(table, self.image(table))

    def _refuse_videos_alone(self, table: Table) -> None:
        if self.fits(table):
            return
        line = json.dumps(
            {"file_name": "barn.mp4", self.text_column or "text": "a barn door opens"}
        )
        raise self.error(
            "path",
            "holds videos, but no captions were found",
            f"write metadata.jsonl in it, with a line for each video: {line} (texts beside the "
            'videos, as barn.txt, do as well), or set task = "video" to read frames alone',
        )
