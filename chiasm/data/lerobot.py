"""Episodes of LeRobot data sets, read without the lerobot package.

What is taken from the rows: the pictures, or the times of the frames in their video; the numbers of
an action feature; the task; and the flags of padding. Times are nominal, float32, of the episode;
the time in a file that episodes share is later by that of the episode's begin. An episode whose
files are missing, or say different lengths, is left out and counted.

Shape suffixes: T rows of an episode, F numbers of a feature, A controls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from chiasm.controls import ControlSettings
from chiasm.data.episodes import Episode, RecordedControl, Recordings, usable_controls
from chiasm.data.fingerprint import fingerprint
from chiasm.data.lerobot_files import parquet_columns, read_parquet
from chiasm.data.lerobot_layout import (
    EpisodePlace,
    Feature,
    LeRobotLayout,
    read_layout,
)
from chiasm.data.lerobot_rows import (
    INDEX,
    NUMBER,
    STATE,
    StoredPictures,
    VideoFrames,
    contradiction,
    episode_identity,
    is_numeric,
    numbers_at,
    vectors_at,
)
from chiasm.errors import UserError
from chiasm.rgb import Given
from chiasm.settings import Settings
from chiasm.video.errors import VideoError

if TYPE_CHECKING:
    from chiasm.video.extent import Extent

_TIME, _TASK = "timestamp", "task_index"
_PADDED = "_is_pad"
_SHOWN = 3


class LeRobotFeatures(Settings):
    """Which features of a data set are read."""

    camera: str = ""
    """Feature with the pictures, or the end of its name (``front``); empty: the only one."""
    action_feature: str = "action"
    """Feature with the controls; ``controls.NAME.column`` is a name or a number within it."""


@dataclass
class _Read:
    """What is found while episodes are read."""

    skipped: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    """Episodes by the reason why they are left out."""
    files: dict[Path, None] = field(default_factory=dict)
    episodes: list[int] = field(default_factory=list)
    """Numbers of all of them."""

    def leave_out(self, place: EpisodePlace, why: str) -> None:
        """Counts the rows of an episode that cannot be used."""
        self.skipped[why] += place.length
        self.left_out.setdefault(why, []).append(place.index)

    @property
    def notes(self) -> tuple[str, ...]:
        """Names of the episodes that are left out."""
        return tuple(
            f"{why}: episode{'s' if len(own) > 1 else ''} {', '.join(map(str, own[:_SHOWN]))}"
            f"{f' and {len(own) - _SHOWN} more' if len(own) > _SHOWN else ''}"
            for why, own in self.left_out.items()
        )


def read_lerobot(
    path: str,
    settings: LeRobotFeatures,
    controls: Mapping[str, RecordedControl],
    ranges: Mapping[str, ControlSettings],
) -> Recordings:
    """Returns all episodes of the data set in a folder.

    Raises:
        UserError: it is no data set, its version is not read, or a feature is missing.
    """
    layout = read_layout(path)
    camera = layout.camera(settings.camera)
    action = layout.vector(settings.action_feature) if controls else None
    reader = _Reader(layout, camera, action, controls, ranges)
    episodes = tuple(reader.episodes())
    found = reader.found
    apart = {f"episode {index}" for index in layout.held_out(found.episodes)}
    return Recordings(
        episodes,
        reader.rows,
        dict(found.skipped),
        (f"LeRobot {layout.version}, {layout.frames_per_second:g} frames a second", *found.notes),
        tuple(file.relative_to(layout.root).as_posix() for file in found.files),
        fingerprint(path),
        layout.frames_per_second,
        held_out=frozenset(apart & {episode.group for episode in episodes}),
        read_from=camera.name,
    )


class _Reader:
    """Reads the rows of every data file once."""

    def __init__(
        self,
        layout: LeRobotLayout,
        camera: Feature,
        action: Feature | None,
        controls: Mapping[str, RecordedControl],
        ranges: Mapping[str, ControlSettings],
    ) -> None:
        self._layout, self._camera, self._action = layout, camera, action
        self._controls, self._ranges = controls, ranges
        self._numbers = (
            [] if action is None else [_number(action, *own) for own in controls.items()]
        )
        self.found, self.rows = _Read(), 0
        self._extents: dict[Path, Extent | str] = {}

    def episodes(self) -> Iterator[Episode]:
        """Yields the usable episodes, file by file."""
        by_file: dict[Path, list[EpisodePlace]] = {}
        for place in self._layout.episodes(self._camera):
            by_file.setdefault(place.data, []).append(place)
            self.rows += place.length
            self.found.episodes.append(place.index)
        for file, places in by_file.items():
            if not file.is_file():
                for place in places:
                    self.found.leave_out(place, "data file missing")
                continue
            self.found.files[file] = None
            table = self._table(file)
            index_R = numbers_at(table, INDEX, np.arange(len(table)))
            for place in places:
                rows = np.flatnonzero(index_R == place.index)
                if (episode := self._episode(place, table, rows)) is not None:
                    yield episode

    def _table(self, file: Path) -> pa.Table:
        """Returns the columns of a data file that are read, without pictures."""
        there = parquet_columns(file)
        action = [] if self._action is None else [self._action.name]
        if lacking := {INDEX, *action} - set(there):
            raise UserError(f"{file} lacks {', '.join(sorted(lacking))}; write it again")
        flags = [f"{name}{_PADDED}" for name in (*action, self._camera.name)]
        wanted = [INDEX, NUMBER, _TIME, _TASK, "action", STATE, *action, *flags]
        table = read_parquet(file, [name for name in dict.fromkeys(wanted) if name in there])
        for own in table.schema:
            if not is_numeric(own.type):
                raise UserError(f"{file}: {own.name} holds no numbers ({own.type}); write it again")
        return table

    def _episode(self, place: EpisodePlace, table: pa.Table, rows: np.ndarray) -> Episode | None:
        if why := contradiction(place, table, rows):
            self.found.leave_out(place, why)
            return None
        if NUMBER in table.column_names:
            rows = rows[np.argsort(numbers_at(table, NUMBER, rows), kind="stable")]
        frames = self._frames(place, table, rows)
        if isinstance(frames, str):
            self.found.leave_out(place, frames)
            return None
        padded_T = self._padded(table, rows)
        kept = len(rows) - int(padded_T[::-1].argmin()) if not padded_T.all() else 0
        self.found.skipped.update({"padding": int(padded_T.sum())} if padded_T.any() else {})
        recorded_TA = self._recorded(table, rows)
        controls_TA = usable_controls(
            recorded_TA[~padded_T], list(self._controls), self._ranges, self.found.skipped
        )
        whole_TA = np.full(recorded_TA.shape, np.nan)
        whole_TA[~padded_T] = controls_TA
        name = f"episode {place.index}"
        task = self._task(table, rows)
        identity = episode_identity(place, table, rows, task)
        episode = Episode(name, frames, whole_TA, identity, name, task)
        return episode if kept == len(rows) else episode.part(0, kept)

    def _frames(
        self, place: EpisodePlace, table: pa.Table, rows: np.ndarray
    ) -> Sequence[Given] | str:
        """Returns the pictures of an episode, or why it has none."""
        if self._camera.dtype == "image":
            return StoredPictures(place.data, rows, self._camera.name, self._layout.root)
        if place.video is None:
            return "no video named"
        if not place.video.is_file():
            return "video file missing"
        self.found.files[place.video] = None
        extent = self._extent(place.video)
        return extent if isinstance(extent, str) else self._in_video(place, extent, table, rows)

    def _extent(self, video: Path) -> Extent | str:
        """Returns the stamps of a video's frames, or why it cannot be used; it is read once."""
        from chiasm.video.extent import read_extent

        if video not in self._extents:
            try:
                self._extents[video] = read_extent(video)
            except VideoError as error:
                self._extents[video] = f"video: {error.reason}"
        return self._extents[video]

    def _in_video(
        self, place: EpisodePlace, extent: Extent, table: pa.Table, rows: np.ndarray
    ) -> Sequence[Given] | str:
        """Returns the frame nearest to each row's time, or why not every row has one."""
        assert place.video is not None
        half = 0.5 / self._layout.frames_per_second
        wanted_T = place.begin_seconds + self._times(table, rows)
        stamp_F = extent.ticks_F * float(extent.time_base)
        if wanted_T[-1] > min(stamp_F[-1] + half, place.end_seconds - half):
            return "video shorter than its rows"
        after_T = np.searchsorted(stamp_F, wanted_T).clip(1, max(1, len(stamp_F) - 1))
        after_T = after_T.clip(0, len(stamp_F) - 1)
        before_T = (after_T - 1).clip(0)
        is_after_T = stamp_F[after_T] - wanted_T < wanted_T - stamp_F[before_T]
        chosen_T = np.where(is_after_T, after_T, before_T)
        if not (np.abs(stamp_F[chosen_T] - wanted_T) <= half).all():  # NaN is at no time
            return "no frame of the video at a row's time"
        return VideoFrames(place.video, extent.ticks_F[chosen_T], extent.time_base)

    def _times(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        """Returns the times of frames in their episode, in seconds: float64 [T].

        Those that are nominal but for rounding are exact.
        """
        nominal_T = np.arange(len(rows)) / self._layout.frames_per_second
        if _TIME not in table.column_names:
            return nominal_T
        recorded_T = numbers_at(table, _TIME, rows)
        near_T = np.abs(recorded_T - nominal_T) < 0.1 / self._layout.frames_per_second
        return np.where(near_T, nominal_T, recorded_T)

    def _recorded(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        """Returns the controls in their own units, NaN for missing ones: float64 [T, A]."""
        if self._action is None:
            return np.zeros((len(rows), 0))
        width = max(self._numbers, default=-1) + 1
        found_TF = vectors_at(table[self._action.name], rows, width)
        factors = [own.factor for own in self._controls.values()]
        return found_TF[:, self._numbers] * factors

    def _padded(self, table: pa.Table, rows: np.ndarray) -> np.ndarray:
        """Returns which rows are padding, by a flag of the action or of the camera: bool [T]."""
        padded_T = np.zeros(len(rows), bool)
        for name in table.column_names:
            if name.endswith(_PADDED):
                padded_T |= np.nan_to_num(vectors_at(table[name], rows, 1)[:, 0]).astype(bool)
        return padded_T

    def _task(self, table: pa.Table, rows: np.ndarray) -> str:
        """Returns the texts of an episode's tasks, in the order in which they begin."""
        if _TASK not in table.column_names:
            return ""
        numbers_T = numbers_at(table, _TASK, rows)
        numbers = dict.fromkeys(numbers_T[np.isfinite(numbers_T)].tolist())  # 1.0 finds task 1
        return "; ".join(filter(None, (self._layout.tasks.get(number, "") for number in numbers)))


def _number(action: Feature, name: str, where: RecordedControl) -> int:
    """Returns the place of a control within a feature.

    Raises:
        UserError: the feature has no number of this name.
    """
    column = where.column or name
    if column in action.names:
        return action.names.index(column)
    if column.isdigit():
        return int(column)
    names = ", ".join(action.names) or "its numbers have no names: give 0, 1, ..."
    raise UserError(
        f"is {column!r}, which is no number of feature {action.name!r}",
        setting=f"controls.{name}.column",
        remedy=f"choose one of: {names}",
    )
