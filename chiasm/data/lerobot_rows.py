"""The rows of an episode of a LeRobot data set: numbers, pictures, and whether they agree.

Shape suffixes: T rows of an episode, F numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from chiasm.data.arrow_tables import ArrowTable, open_arrow
from chiasm.data.cells import file_or_bytes
from chiasm.data.lerobot_layout import EpisodePlace
from chiasm.data.reading import Unusable
from chiasm.rgb import Given
from chiasm.video.frame import VideoFrame

INDEX, NUMBER = "episode_index", "frame_index"
STATE = "observation.state"


class StoredPictures(Sequence[Given]):
    """Pictures in the rows of a parquet file, read when they are asked for."""

    def __init__(self, file: Path, rows: np.ndarray, column: str, root: Path) -> None:
        self._file, self._rows, self._column, self._root = file, rows, column, root

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Given:  # type: ignore[override]
        row = self._table.row(int(self._rows[number]), self._column)
        found = file_or_bytes(row.get(self._column), self._root, self._column)
        if found is None:
            raise Unusable("no picture", f"{self._file}, row {self._rows[number]}")
        return found

    @cached_property
    def _table(self) -> ArrowTable:
        return open_arrow(self._file)


class VideoFrames(Sequence[Given]):
    """Frames of a video by their stamps, decoded when they are asked for."""

    def __init__(self, file: Path, ticks_T: np.ndarray, time_base: Fraction) -> None:
        self._file, self._ticks, self._time_base = file, ticks_T, time_base

    def __len__(self) -> int:
        return len(self._ticks)

    def __getitem__(self, number: int) -> Given:  # type: ignore[override]
        # LeRobot writes by BT.601 and names no matrix, whatever the size.
        return VideoFrame(self._file, int(self._ticks[number]) * self._time_base, "bt601")


def contradiction(place: EpisodePlace, table: pa.Table, rows: np.ndarray) -> str:
    """Returns why the rows of an episode are not what its metadata says; empty if they are."""
    if not len(rows):
        return "no rows"
    if len(rows) != place.length:
        return "not as many rows as meta/episodes says"
    if NUMBER in table.column_names:
        numbers_T = np.sort(numbers_at(table, NUMBER, rows))
        if not np.array_equal(numbers_T, np.arange(len(rows))):
            return "frame_index has gaps"
    return ""


def episode_identity(place: EpisodePlace, table: pa.Table, rows: np.ndarray, task: str) -> bytes:
    """Returns a hash that is the same for every choice of cameras and controls."""
    whole = xxhash.xxh3_128(f"{len(rows)} {task}".encode())
    recorded = [name for name in ("action", STATE) if name in table.column_names]
    for name in recorded:
        whole.update((vectors_at(table[name], rows, 0) + 0.0).tobytes())
    if not recorded:
        whole.update(f"episode {place.index}".encode())
    return whole.digest()


def is_numeric(kind: pa.DataType) -> bool:
    """Returns whether a column holds numbers, or lists of them; one of nulls holds missing ones."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(own(kind) for own in known)


def numbers_at(table: pa.Table, name: str, rows: np.ndarray) -> np.ndarray:
    """Returns single numbers at some rows, also where each is a list of one: float64 [T].

    Missing ones are NaN.
    """
    column = table[name]
    if pa.types.is_nested(column.type):
        return vectors_at(column, rows, 1)[:, 0]
    whole_R: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    return whole_R[rows]


def vectors_at(column: pa.ChunkedArray, rows: np.ndarray, width: int) -> np.ndarray:
    """Returns vectors at some rows: float64 [T, F], F at least ``width``.

    Rows that are missing or shorter than others are filled with NaN.
    """
    picked = column.take(pa.array(rows)).to_pylist()
    lists = [own if isinstance(own, list) else [own] for own in picked]
    longest = max([width, *map(len, lists)])
    found_TF = np.full((len(lists), longest), np.nan)
    for number, own in enumerate(lists):
        found_TF[number, : len(own)] = [np.nan if value is None else value for value in own]
    return found_TF
