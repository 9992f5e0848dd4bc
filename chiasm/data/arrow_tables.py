"""Typed tables: parquet and Arrow files, and data sets of the hub.

A row of a parquet file can only be read together with those that are compressed with it. So every
file is copied once into an Arrow stream, which is memory-mapped, in the cache of the ``datasets``
library (:mod:`chiasm.data.copies`).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from chiasm.data.copies import copied
from chiasm.data.index import NO_INDEX, Index
from chiasm.data.reading import Unusable
from chiasm.data.table import FileTable, Row, refuse_repeated
from chiasm.errors import UserError, first_line
from chiasm.hub import gave_none, require_hub

_ROWS_A_BATCH = 256
"""Rows held in memory at once; a row may be a picture of megabytes."""
_FILE_MAGIC = b"ARROW1"
_CONTINUATION, _END = b"\xff" * 4, b"\xff" * 4 + b"\0" * 4
"""First bytes of a stream, since Arrow 0.15, and last bytes of such a stream."""
_PLACES: dict[pa.DataType, Literal["i", "q"]] = {
    pa.binary(): "i",
    pa.string(): "i",
    pa.large_binary(): "q",
    pa.large_string(): "q",
}
"""Types whose cells lie one behind the other, and the type of their places."""

Cell = Callable[[int], Any]
"""Reads one of a batch's cells, by its number."""
_REMEMBERED_BATCHES = 1 << 13
"""What reads the cells of so many batches is kept, a kilobyte for each of the columns read."""


class ArrowTable(FileTable):
    """Typed rows; class labels as their names, pictures as the stored bytes or paths."""

    def __init__(
        self, table: pa.Table, labels: Mapping[str, list[str]], files: Collection[Path]
    ) -> None:
        super().__init__(*files)
        self.columns = tuple(table.column_names)
        self._labels = labels
        self._batches = table.to_batches()
        self._ends = list(accumulate(map(len, self._batches)))
        self._length = len(table)
        self._cells = lru_cache(_REMEMBERED_BATCHES)(self._read_by)

    def __len__(self) -> int:
        return self._length

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        row: Row = {}
        which, own = self._place(number)
        try:
            for name, read in self._cells(which, columns):  # by the microsecond
                row[name] = read(own)
        except UnicodeDecodeError as error:  # writers do not look
            raise Unusable(f"{name} is no UTF-8") from error
        except (OverflowError, ValueError) as error:
            raise Unusable(f"{name} holds a date that no calendar has") from error
        return row

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`~chiasm.data.table.Table`."""
        if column in self.columns:
            which, own = self._place(number)
            cell = self._batches[which].column(column)[own]
            if cell.is_valid and isinstance(cell, pa.StringScalar | pa.LargeStringScalar):
                # Nothing but the part is copied, of a cell that may be a book.
                return bytes(memoryview(cell.as_buffer())[begin:end])
        return super().utf8(number, column, begin, end)

    def _place(self, number: int) -> tuple[int, int]:
        """Returns the number of a row's batch, and that of the row within it."""
        which = bisect_right(self._ends, number)
        return which, number - (self._ends[which - 1] if which else 0)

    def _read_by(self, which: int, columns: tuple[str, ...]) -> list[tuple[str, Cell]]:
        """Returns what reads the cells of a batch, by those columns that there are."""
        batch = self._batches[which]

        def cell_of(name: str) -> Cell:
            labels = self._labels.get(name)
            return _cell_of(batch.column(name), lambda cell: _value(cell, labels))

        wanted = columns or self.columns
        return [(name, cell_of(name)) for name in wanted if name in self.columns]


def open_arrow(file: Path, index: Index = NO_INDEX) -> ArrowTable:
    """Returns the table in a parquet or Arrow file.

    Raises:
        UserError: it is damaged, two columns have one name, or the cache has no room.
    """
    copy = copied(file, ".arrow", lambda aside: _write(file, aside), index)
    with pa.memory_map(str(copy)) as mapped, pa.ipc.open_stream(mapped) as stream:
        table = stream.read_all()
    refuse_repeated(table.column_names, file)
    return ArrowTable(table, _labels(table.schema), (file,))


def open_hub(path: str, setting: str) -> dict[str, ArrowTable]:
    """Returns the splits of a data set of the hub, by their names.

    Raises:
        UserError: the hub has no data set of that name, or cannot be reached.
    """
    import datasets  # a second to import, and a run on the embedded world never needs it

    require_hub(path, setting)
    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(path)
    except Exception as error:
        raise gave_none("dataset", path, error.__cause__ or error, setting) from error
    return {
        name: ArrowTable(split.data.table, _labels(split.features.arrow_schema), ())
        for name, split in found.items()
    }


def _write(file: Path, aside: Path) -> None:
    """Writes the rows of a file as an Arrow stream."""
    with (
        _batches(file) as (schema, batches),
        aside.open("wb") as written,
        pa.ipc.new_stream(written, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


@contextmanager
def _batches(file: Path) -> Iterator[tuple[pa.Schema, Iterable[pa.RecordBatch]]]:
    """Yields schema and batches of rows of a parquet file, an Arrow stream or an Arrow file.

    Raises:
        UserError: it is damaged, when it is opened or while it is read.
    """
    kind = file.suffix.lower().lstrip(".")

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with _blamed(file, kind):
            for batch in batches:
                _refuse_invalid(batch)
                yield batch

    with pa.OSFile(str(file)) as opened:
        with _blamed(file, kind):
            if kind == "parquet":
                parquet = pa.parquet.ParquetFile(opened)
                schema, rows = parquet.schema_arrow, parquet.iter_batches(_ROWS_A_BATCH)
            elif opened.read(len(_FILE_MAGIC)) == _FILE_MAGIC:
                arrow = pa.ipc.open_file(opened)
                schema = arrow.schema
                rows = map(arrow.get_batch, range(arrow.num_record_batches))
            else:
                _refuse_cut(opened)
                rows = pa.ipc.open_stream(opened)
                schema = rows.schema
        yield schema, read(rows)


def _refuse_invalid(batch: pa.RecordBatch) -> None:
    """Raises ArrowInvalid where reading cells would read memory that is not the file's.

    Text that is no UTF-8 is left to its row.
    """
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if "UTF8" not in str(error):
                raise


def _refuse_cut(stream: pa.NativeFile) -> None:
    """Raises EOFError if a stream was cut between two batches: readers take that for its end."""
    stream.seek(0)
    begin = stream.read(len(_CONTINUATION))
    stream.seek(max(0, stream.size() - len(_END)))
    if begin == _CONTINUATION and stream.read() != _END:
        raise EOFError("cut off: it has no end mark")
    stream.seek(0)


@contextmanager
def _blamed(file: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        said = first_line(error.__cause__ or error)
        raise UserError(
            f"{file} cannot be read as {kind} ({said}); fetch or write it again"
        ) from error


def _labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Returns names of class labels by column, as the datasets library stores them in a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        own = {name: feature.get("feature", feature) for name, feature in features.items()}
        return {
            name: feature["names"]
            for name, feature in own.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # there are none, or they are damaged


def _cell_of(array: pa.Array, value: Callable[[pa.Scalar], Any]) -> Cell:
    """Returns what reads the cells of an array; ``value``: of those that are no bytes or texts.

    A scalar of Arrow's takes longer than all that becomes of a row, and most rows are of bytes and
    texts, in structures of them on the hub: these are copied from where they lie.
    """
    kind = array.type
    if array.null_count:
        if array.null_count == len(array):
            return lambda number: None
    elif kind in _PLACES:
        return _bytes_or_text(array, _PLACES[kind])
    elif pa.types.is_struct(kind):
        fields = [kind.field(number).name for number in range(kind.num_fields)]
        if len({*fields}) == len(fields):
            parts = [
                (name, _cell_of(own, _plain))
                for name, own in zip(fields, array.flatten(), strict=True)
            ]
            return lambda number: {name: read(number) for name, read in parts}
    return lambda number: value(array[number])


def _bytes_or_text(array: pa.Array, places: Literal["i", "q"]) -> Cell:
    """Returns what reads the cells of an array of bytes or of texts, none of which is null."""
    _, ends, content = array.buffers()
    first = array.offset
    end_N = memoryview(ends).cast(places)[first : first + len(array) + 1]
    whole = memoryview(content or b"")
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return lambda number: whole[end_N[number] : end_N[number + 1]].tobytes()
    return lambda number: str(whole[end_N[number] : end_N[number + 1]], "utf-8")


def _plain(cell: pa.Scalar) -> Any:
    return cell.as_py()


def _value(cell: pa.Scalar, names: list[str] | None) -> Any:
    value = cell.as_py()
    if names is not None:
        return (
            [_label(each, names) for each in value]
            if isinstance(value, list)
            else _label(value, names)
        )
    if isinstance(value, float) and not pa.types.is_float64(cell.type):
        return np.float32(value)  # 0.1 and not the nearest double's 0.10000000149
    return value


def _label(number: Any, names: list[str]) -> Any:
    """Returns a label's name; None for numbers without one, such as -1."""
    known = isinstance(number, int) and 0 <= number < len(names)
    return names[number] if known else None
