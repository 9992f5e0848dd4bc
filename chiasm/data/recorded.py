"""The kind ``trajectories``: documents of recorded walks, frames with poses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from chiasm.capabilities import ActionVideos
from chiasm.data.navigation import TASKS, TrajectorySettings, TrajectorySource
from chiasm.data.sides import read_side
from chiasm.data.source import (
    SOURCES,
    FileSettings,
    Opened,
    Opening,
    SourceFacts,
    Steps,
    check_task,
)
from chiasm.documents import Document, Split
from chiasm.settings import Settings


@SOURCES.register
class RecordedSettings(FileSettings):
    """Documents of recorded walks."""

    kind: Literal["trajectories"] = "trajectories"
    task: str = ""
    """video, action_video or inverse_dynamics."""
    trajectories: TrajectorySettings = TrajectorySettings()
    """Which frames make a document."""

    held_out_by: ClassVar[str] = "trajectories"

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths that are read, with KITTI's folder of poses beside ``sequences``."""
        beside = Path(self.path).parent / "poses"
        return (*super().paths, *([str(beside)] if beside.is_dir() else []))

    def check(self) -> None:
        """Refuses a missing path and an unknown task.

        Raises:
            UserError: the path is missing or the task is unknown.
        """
        check_task(self, self.task, TASKS)
        super().check()

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides."""
        train, held_out = (self._side(name, self.task, opening, split) for split in Split)
        return Opened(train, held_out, self._facts(train, held_out))

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; without ``captioned``, documents of single frames."""
        if captioned:
            return self.open(name, opening)
        train, held_out = (self._side(name, "video", opening, split) for split in Split)
        return Opened(_Frames(train), _Frames(held_out), self._facts(train, held_out))

    def open_views(self, name: str, opening: Opening) -> ActionVideos:
        """Returns the held-out walks."""
        return self._side(name, self.task, opening, Split.HELD_OUT)

    def steps(self, tables: Mapping[str, Settings]) -> Steps | None:
        """Returns the shape of the steps between views; None for videos."""
        own, inverse = self.trajectories, self.task == "inverse_dynamics"
        if self.task == "video":
            return None
        return Steps(own.frames[1], own.horizon_frames, inverse=inverse)

    def _side(self, name: str, task: str, opening: Opening, split: Split) -> TrajectorySource:
        own = self.trajectories
        side = read_side(self, own, own.longest_reach, split)
        return TrajectorySource(name, task, side, own, opening.actions)

    def _facts(self, train: TrajectorySource, held_out: TrajectorySource) -> SourceFacts:
        return SourceFacts(
            kind=self.kind,
            rows=train.num_frames + held_out.num_frames,
            documents=len(train) + len(held_out),
            held_out=len(held_out),
            files=train.recordings + held_out.recordings,
            notes=(
                f"training: {train.side.summary}; held out: {held_out.side.summary}",
                *train.notes,
            ),
            fingerprint=train.fingerprint,
            held_out_fingerprint=held_out.fingerprint,
        )


class _Frames:
    """The frames of trajectories, one per document, without actions."""

    def __init__(self, source: TrajectorySource) -> None:
        self.name = source.name
        self._source = source

    def __len__(self) -> int:
        return self._source.num_frames

    def __getitem__(self, index: int) -> Document:
        return Document((self._source.picture(index),))
