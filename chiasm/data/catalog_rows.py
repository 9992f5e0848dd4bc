"""The rows of catalogs: tables with a picture, controls, a time and a session in each.

A table is anything that :mod:`chiasm.data.tables` opens, or the catalogs of a tub of Donkey cars.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from chiasm.data.cells import file_or_bytes, texts
from chiasm.data.episodes import RecordedControl
from chiasm.data.line_tables import JsonLines
from chiasm.data.media import IMAGE
from chiasm.data.media_files import MediaFiles
from chiasm.data.reading import Unusable
from chiasm.data.stamps import nanoseconds
from chiasm.data.table import Joined, Row, Table, parsed_json, read_text
from chiasm.data.tables import choose_column, open_tables, shown
from chiasm.errors import UserError
from chiasm.settings import Settings

_IMAGE = (*IMAGE.usual, "cam/image_array", "frame")
_TIME = (
    *("timestamp_ms", "_timestamp_ms", "timestamp_ns", "timestamp_us", "timestamp_s"),
    *("timestamp", "time", "stamp"),
)
_SESSION = ("session", "_session_id", "session_id", "episode", "episode_index", "drive", "run")
_ZEROS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Powers of ten from a unit of time to nanoseconds."""
_MANIFEST, _PICTURES = "manifest.json", "images"
"""File and folder of a tub."""


class CatalogColumns(Settings):
    """Which columns of a table are read, and where its episodes end."""

    image_column: str = ""
    """Column with pictures (paths or bytes); empty: the first with a usual name."""
    time_column: str = ""
    """Column with times; empty: the first with a usual name, and without one the rows of a session
    count as evenly recorded, in the order of the table."""
    time_unit: Literal["", "s", "ms", "us", "ns"] = ""
    """Unit of the times; empty: as the column's name ends (``timestamp_ms``), else seconds, or ms,
    us or ns since 1970, by their size."""
    session_column: str = ""
    """Column with what rows belong to, a group that is held out as a whole; empty: the first with a
    usual name, and without one all rows are of one session."""
    largest_gap: float = Field(1.5, gt=1)
    """In median intervals between rows: a longer gap ends an episode."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """What is read of one row."""

    number: int
    picture: Path | None
    """None if it lies in the table."""
    nanoseconds: int
    session: str
    recorded: tuple[float, ...]


@dataclass(frozen=True)
class ColumnNames:
    """Names of a table's columns; empty ones are not there."""

    image: str
    time: str
    unit: str
    session: str
    controls: tuple[str, ...]


def open_catalog(
    path: str, settings: CatalogColumns
) -> tuple[Table, Table | None, Path, tuple[str, ...]]:
    """Returns training and held-out table, the folder that names are relative to, and notes."""
    folder = Path(path)
    if tubs := _tubs(folder):
        tables = [table for tub in tubs for table in _catalogs(tub)]
        many = f"{len(tubs)} tubs of Donkey cars" if len(tubs) > 1 else "a tub of Donkey cars"
        return Joined(tables), None, folder, (many,)
    names = (settings.image_column,) if settings.image_column else _IMAGE

    def fits(table: Table, files: MediaFiles) -> bool:
        return any(name in table.columns for name in names)

    found = open_tables(path, fits, medium=IMAGE)
    return found.train, found.held_out, found.root, found.notes


def _tubs(folder: Path) -> list[Path]:
    """Returns the folder if it is a tub, or the tubs in it."""
    inside = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return [
        each
        for each in (folder, *inside)
        if os.path.isfile(each / _MANIFEST) and any(each.glob("*.catalog"))
    ]


def _catalogs(tub: Path) -> Iterator[Table]:
    """Yields the tables of a tub, without the rows that were deleted."""
    manifest = tub / _MANIFEST
    lines = [parsed_json(line, manifest) for line in read_text(manifest).splitlines() if line]
    about: dict[str, Any] = next(
        (line for line in reversed(lines) if isinstance(line, dict) and "paths" in line), {}
    )
    names, deleted = (about.get(name) or [] for name in ("paths", "deleted_indexes"))
    if not (_is_list_of_texts(names) and _is_list_of_texts(deleted)):
        raise UserError(f"{manifest}: paths or deleted_indexes are no lists of names or of numbers")
    for file in [tub / name for name in names] or sorted(tub.glob("*.catalog")):
        if not os.path.isfile(file):
            raise UserError(f"{manifest} names {file.name:.100}, which is missing; fetch it")
        yield _Catalog(file, frozenset(deleted))


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


class _Catalog(JsonLines):
    """Rows of a tub's catalog; those that were deleted cannot be used."""

    def __init__(self, file: Path, deleted: frozenset[str]) -> None:
        super().__init__(file)
        self._deleted = deleted

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        row = super().row(number, *columns)
        if str(row.get("_index")) in self._deleted:
            raise Unusable("deleted in the tub")
        return row


def column_names(
    table: Table, settings: CatalogColumns, controls: Mapping[str, RecordedControl]
) -> ColumnNames:
    """Returns the names of the columns; of usual ones, those that the table has.

    Raises:
        UserError: one is missing.
    """

    def usual(setting: str, names: tuple[str, ...]) -> str:
        wanted: str = getattr(settings, setting)
        if wanted:
            return choose_column(table, setting, wanted)
        return next((name for name in names if name in table.columns), "")

    own = []
    for name, where in controls.items():
        column = where.column or name
        if column not in table.columns:
            raise UserError(
                f"is recorded in no column {column!r}",
                setting=f"controls.{name}.column",
                remedy=f"choose one of: {shown(table.columns)}",
            )
        own.append(column)
    image = choose_column(table, "image_column", settings.image_column, _IMAGE)
    time = usual("time_column", _TIME)
    ends = time.rpartition("_")[2]
    unit = settings.time_unit or (ends if "_" in time and ends in _ZEROS else "")
    return ColumnNames(image, time, unit, usual("session_column", _SESSION), tuple(own))


def catalog_rows(table: Table, columns: ColumnNames, skipped: Counter[str]) -> Iterator[CatalogRow]:
    """Yields the usable rows; others are counted.

    Where files lie in several folders, those of each are sessions of their own.
    """
    folders = {str(file.parent) for file in table.files}
    above = os.path.commonpath(folders) if len(folders) > 1 else ""
    wanted = {columns.image, columns.time, columns.session, *columns.controls} - {""}
    for number in range(len(table)):
        try:
            cells = table.row(number, *wanted)
            found = stored_picture(table, cells, number, columns.image)
            yield CatalogRow(
                number,
                found if isinstance(found, Path) else None,
                _nanoseconds(cells, columns) if columns.time else number,
                _session(table, cells, number, columns, above),
                tuple(_number(cells.get(column), column) for column in columns.controls),
            )
        except Unusable as error:
            skipped[str(error)] += 1


def stored_picture(table: Table, cells: Row, number: int, column: str) -> Path | bytes:
    """Returns the picture of a row: the path of a file that is there, or bytes.

    Raises:
        Unusable: it has none, or the file is missing or empty.
    """
    folder = table.file(number).parent
    found = file_or_bytes(cells.get(column), folder, column)
    if found is None:
        raise Unusable("no picture")
    if isinstance(found, bytes):
        return found
    others = (above / str(cells.get(column)) for above in (folder / _PICTURES, folder.parent))
    file = next((each for each in (found, *others) if os.path.isfile(each)), None)
    if file is None:
        raise Unusable("picture file missing", str(found))
    if not file.stat().st_size:
        raise Unusable("picture file empty", str(file))
    return file


def _session(table: Table, cells: Row, number: int, columns: ColumnNames, above: str) -> str:
    own = " ".join(texts(cells.get(columns.session), columns.session)) if columns.session else ""
    folder = os.path.relpath(table.file(number).parent, above) if above else ""
    return " ".join(filter(None, (folder, own.strip())))


def _nanoseconds(cells: Row, columns: ColumnNames) -> int:
    """Returns the time of a row.

    Raises:
        Unusable: it has none, or it is no number.
    """
    [text, *_] = texts(cells.get(columns.time), columns.time) or ("",)
    try:
        return nanoseconds(text, _ZEROS.get(columns.unit))
    except ValueError as error:
        raise Unusable("time missing or no number", text[:100]) from error


def _number(cell: Any, column: str) -> float:
    """Returns the number of a cell; NaN if it has none."""
    [text, *_] = texts(cell, column) or ("",)
    try:
        return float(text)
    except ValueError:
        return math.nan
