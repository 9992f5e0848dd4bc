"""Typed tables: parquet and Arrow files, and data sets of the hub, by Hugging Face ``datasets``.

The library copies files into a memory-mapped table of its cache, so that random access is cheap
however the file is compressed. It would know files by name, size and time of change; here the
copy stands under a hash of their content.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from chiasm.data.hub import require_hub
from chiasm.data.table import Row, TextCells
from chiasm.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK_BYTES = 1 << 22


class ArrowTable(TextCells):
    """Typed rows; class labels by their names, pictures as the bytes or paths that they are."""

    def __init__(self, dataset: Dataset, files: Sequence[Path], folder: Path) -> None:
        import datasets

        super().__init__()
        for name, feature in dataset.features.items():
            if isinstance(feature, datasets.Image):
                dataset = dataset.cast_column(name, datasets.Image(decode=False))
        self.files: tuple[Path, ...] = tuple(files)
        self.columns = tuple(dataset.column_names)
        self._folder = folder
        self._labels = {
            name: feature.names
            for name, feature in dataset.features.items()
            if isinstance(feature, datasets.ClassLabel)
        }
        self._with_columns = lru_cache(maxsize=None)(dataset.select_columns)
        self._length = len(dataset)

    def __len__(self) -> int:
        return self._length

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        row: dict[str, Any] = self._with_columns(columns or self.columns)[number]
        for name, names in self._labels.items():
            if name in row:
                row[name] = _label(row[name], names)
        return row

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self._folder


def open_arrow(files: Sequence[Path], kind: str) -> ArrowTable:
    """Returns the table in parquet or Arrow files.

    Raises:
        UserError: a file is damaged, or the files have different columns.
    """
    import datasets  # a second to import, and a run on the embedded world never needs it

    datasets.disable_progress_bars()
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "by-content" / _digest(files)
    try:
        dataset = datasets.load_dataset(
            kind, data_files=[str(file) for file in files], split="train", cache_dir=str(cache)
        )
    except Exception as error:  # each reader has its own kinds
        raise UserError(f"cannot be read as {kind}: {_cause(error)}") from error
    return ArrowTable(dataset, files, files[0].parent)


def open_hub(path: str, setting: str) -> dict[str, ArrowTable]:
    """Returns the splits of a data set of the hub, by their names.

    Raises:
        UserError: the hub has no data set of that name, or cannot be reached.
    """
    import datasets

    require_hub(path, setting)
    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(path)
    except Exception as error:
        raise UserError(
            f"{setting} = {path!r} is no file or folder here, and the hub gave no dataset of that "
            f"name ({_cause(error)})"
        ) from error
    return {name: ArrowTable(split, (), Path()) for name, split in found.items()}


def _label(number: Any, names: Sequence[str]) -> Any:
    known = isinstance(number, int) and 0 <= number < len(names)
    return names[number] if known else None


def _cause(error: Exception) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _digest(files: Sequence[Path]) -> str:
    digest = xxhash.xxh3_128()
    for file in files:
        digest.update(f"{file.stat().st_size} ".encode())
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
