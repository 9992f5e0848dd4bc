"""Writes LeRobot data sets, v3.0: metadata, rows in parquet and pictures in mp4.

Files of rows and of pictures roll over by their size, each on its own, between two episodes.

Shape suffixes: T frames of an episode, F numbers of a feature, C channels, L levels of a channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from chiasm.data.encoder import Encoder, pixel_formats
from chiasm.data.lerobot_layout import INFO
from chiasm.data.lerobot_stats import LEVELS, SetStats, summary
from chiasm.errors import UserError

CAMERA = "observation.images.camera"
VERSION = "v3.0"
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODES = "meta/episodes/chunk-000/file-000.parquet"
_STATS, _TASKS = "meta/stats.json", "meta/tasks.parquet"
_CHUNK_FILES = 1000


@dataclass(frozen=True)
class SetSettings:
    """How a data set is written."""

    frames_per_second: int
    vectors: Mapping[str, Sequence[str]]
    """Names of the numbers by feature."""
    crf: int = 0
    """Loss of H.264, 0 to 51: 0 keeps every bit of RGB, more is in 4:2:0."""
    robot: str = "chiasm"
    data_megabytes: float = 100
    """Size at which a file of rows is closed."""
    video_megabytes: float = 200
    """Size at which a video is closed."""


@dataclass
class _Place:
    """Number of a file that is being written, and what it holds so far."""

    number: int = -1
    frames: int = 0
    bytes: int = 0

    @property
    def indices(self) -> dict[str, int]:
        """Number of its folder, and its own in the folder."""
        return dict(
            zip(("chunk_index", "file_index"), divmod(self.number, _CHUNK_FILES), strict=True)
        )


class LeRobotWriter:
    """Writes one episode after the other into a new folder; a context manager.

    Raises:
        UserError: this build of FFmpeg has no H.264.
    """

    def __init__(self, folder: Path, settings: SetSettings) -> None:
        self._folder, self._settings = folder, settings
        self._data, self._video = _Place(), _Place()
        self._rows: pa.parquet.ParquetWriter | None = None
        self._encoder: Encoder | None = None
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._splits: dict[str, list[int]] = {}
        self._stats = SetStats(CAMERA)
        self._total = 0
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> LeRobotWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rows is not None:
            self._rows.close()
        if self._encoder is not None:
            self._encoder.close()
        if error is None and self._episodes:
            self._write_meta()

    def write(
        self, frames: Iterable[np.ndarray], vectors: Mapping[str, np.ndarray], task: str, split: str
    ) -> None:
        """Writes an episode.

        Args:
            frames: pictures, uint8 [H, W, 3], all of one size.
            vectors: float [T, F] by feature.
            task: what is done, in words.
            split: its side, ``train`` or ``test``; the episodes of a side follow each other.
        """
        length, number = len(next(iter(vectors.values()))), len(self._episodes)
        encoder = self._open_video()
        begin, levels_CL = self._video.frames, np.zeros((3, LEVELS), np.int64)
        for order, frame in enumerate(frames):
            self._same_size(frame)
            encoder.write(frame, begins=order == 0)
            levels_CL += [np.bincount(frame[..., c].ravel(), minlength=LEVELS) for c in range(3)]
        self._video.frames += length
        assert self._video.frames == encoder.written
        columns = self._columns(length, number, vectors, task)
        self._write_rows(pa.table(columns))
        rate = self._settings.frames_per_second
        video = {f"videos/{CAMERA}/{name}": own for name, own in self._video.indices.items()}
        self._episodes.append(
            {
                "episode_index": number,
                "tasks": [task],
                "length": length,
                **{f"data/{name}": own for name, own in self._data.indices.items()},
                "dataset_from_index": self._total,
                "dataset_to_index": self._total + length,
                **video,
                f"videos/{CAMERA}/from_timestamp": begin / rate,
                f"videos/{CAMERA}/to_timestamp": (begin + length) / rate,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                **_flat(summary(vectors, CAMERA, levels_CL, length)),
            }
        )
        self._total += length
        self._stats.add(vectors, levels_CL, length)
        self._splits.setdefault(split, []).append(number)

    def _same_size(self, frame: np.ndarray) -> None:
        size = frame.shape[0], frame.shape[1]
        self._size = self._size or size
        if size != self._size:
            have, first = (f"{width} x {height}" for height, width in (size, self._size))
            raise UserError(f"a picture has {have} pixels and the first one {first}; give one size")

    def _columns(
        self, length: int, number: int, vectors: Mapping[str, np.ndarray], task: str
    ) -> dict[str, pa.Array]:
        count_T = np.arange(length)
        task_index = self._tasks.setdefault(task, len(self._tasks))
        columns = {
            name: pa.FixedSizeListArray.from_arrays(
                pa.array(own.astype(np.float32).ravel()), own.shape[1]
            )
            if own.shape[1] > 1
            else pa.array(own[:, 0].astype(np.float32))
            for name, own in vectors.items()
        }
        return columns | {
            "next.done": pa.array(count_T == length - 1),
            "timestamp": pa.array((count_T / self._settings.frames_per_second).astype(np.float32)),
            "frame_index": pa.array(count_T),
            "episode_index": pa.array(np.full(length, number)),
            "index": pa.array(count_T + self._total),
            "task_index": pa.array(np.full(length, task_index)),
        }

    def _write_rows(self, table: pa.Table) -> None:
        """Writes rows as a group of their own, into a new file where the last is large enough."""
        limit = self._settings.data_megabytes * 1e6
        if self._rows is not None and self._data.bytes >= limit:
            self._rows.close()
            self._rows = None
        if self._rows is None:
            self._data = _Place(self._data.number + 1)
            path = self._made(_DATA.format(**self._data.indices))
            self._rows = pa.parquet.ParquetWriter(path, table.schema)
        self._rows.write_table(table)
        self._data.bytes += table.nbytes

    def _open_video(self) -> Encoder:
        """Returns the encoder, a new one where the last file is large enough."""
        limit = self._settings.video_megabytes * 1e6
        if self._encoder is not None and self._encoder.bytes_written >= limit:
            self._encoder.close()
            self._encoder = None
        if self._encoder is None:
            self._video = _Place(self._video.number + 1)
            path = self._made(_VIDEO.format(video_key=CAMERA, **self._video.indices))
            self._encoder = Encoder(path, self._settings.frames_per_second, self._settings.crf)
        return self._encoder

    def _made(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_meta(self) -> None:
        self._made(_STATS).write_text(json.dumps(self._stats.summary(), indent=1))
        _write_tasks(self._tasks, self._made(_TASKS))
        pa.parquet.write_table(pa.Table.from_pylist(self._episodes), self._made(_EPISODES))
        self._made(INFO).write_text(json.dumps(self._info(), indent=1))

    def _info(self) -> dict[str, Any]:
        own = self._settings
        height, width = self._size or (0, 0)
        numbers = {"shape": [1], "names": None}
        features: dict[str, Any] = {
            name: {"dtype": "float32", "shape": [len(names)], "names": list(names)}
            for name, names in own.vectors.items()
        }
        features[CAMERA] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": pixel_formats(own.crf, height, width).stored,
                "video.is_depth_map": False,
                "video.fps": own.frames_per_second,
                "video.channels": 3,
                "has_audio": False,
            },
        }
        features["next.done"] = {"dtype": "bool"} | numbers
        features["timestamp"] = {"dtype": "float32"} | numbers
        for name in ("frame_index", "episode_index", "index", "task_index"):
            features[name] = {"dtype": "int64"} | numbers
        return {
            "codebase_version": VERSION,
            "robot_type": own.robot,
            "total_episodes": len(self._episodes),
            "total_frames": self._total,
            "total_tasks": len(self._tasks),
            "chunks_size": _CHUNK_FILES,
            "data_files_size_in_mb": max(1, round(own.data_megabytes)),
            "video_files_size_in_mb": max(1, round(own.video_megabytes)),
            "fps": own.frames_per_second,
            "splits": {name: f"{min(n)}:{max(n) + 1}" for name, n in self._splits.items()},
            "data_path": _DATA,
            "video_path": _VIDEO,
            "features": features,
        }


def _write_tasks(tasks: Mapping[str, int], path: Path) -> None:
    """Writes the texts of tasks as pandas writes an index, where LeRobot looks for them."""
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": list(tasks)})
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": own, "metadata": None}
        for name, kind, own in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": described}
    metadata = {b"pandas": json.dumps(about | {"pandas_version": "2.0"}).encode()}
    pa.parquet.write_table(table.replace_schema_metadata(metadata), path)


def _flat(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"stats/{name}/{kind}": own for name, each in stats.items() for kind, own in each.items()
    }
