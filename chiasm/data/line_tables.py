"""Tables in text files: JSON lines, JSON, CSV, and plain texts.

All are UTF-8; a byte order mark is no part of the text. Numbers stay the characters of the file,
in JSON too: ``3`` beside ``2.5`` is ``3``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.table import Row, TextCells, Unusable, decoded, read_part
from chiasm.errors import UserError

_ROWS_KEYS = ("data", "rows", "examples", "records")
_BOM = b"\xef\xbb\xbf"


class NoTable(UserError):
    """A JSON file that is about something else."""


class JsonLines(TextCells):
    """A JSON object a line; blank lines are passed over."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.files: tuple[Path, ...] = (file,)
        places, names = [], {}
        for number, (begin, line) in enumerate(_lines(file), start=1):
            if line.strip():
                names.update(dict.fromkeys(_json_row(line, file, number)))
                places.append((begin, begin + len(line)))
        self._places = np.array(places, dtype=np.int64).reshape(-1, 2)
        self.columns = tuple(names)

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        begin, end = self._places[number].tolist()
        return _json_row(read_part(self.files[0], begin, end), self.files[0], None)

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[0].parent


class Json(TextCells):
    """One JSON list of objects, or such a list as an object's ``data``; read whole."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.files: tuple[Path, ...] = (file,)
        self._rows = _rows_of(file)
        self.columns = tuple(dict.fromkeys(name for row in self._rows for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        return self._rows[number]

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[0].parent


class Csv(TextCells):
    """Cells between commas (or tabs), the names of columns in the first row.

    Every cell is its characters. A row with another number of cells than the header has is refused
    when it is read.
    """

    def __init__(self, file: Path, delimiter: str) -> None:
        super().__init__()
        self.files: tuple[Path, ...] = (file,)
        self._delimiter = delimiter
        places = []
        header: list[str] = []
        for begin, end, cells in self._records():
            if not header:
                header = [name.strip() for name in cells]
            elif cells:  # a blank line has none
                places.append((begin, end))
        self._places = np.array(places, dtype=np.int64).reshape(-1, 2)
        self.columns = tuple(header)

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Begin, end and cells of each record; a quoted cell may hold line breaks."""
        read = 0

        def lines() -> Iterator[str]:
            nonlocal read
            for begin, line in _lines(self.files[0]):
                read = begin + len(line)
                yield decoded(line, self.files[0])

        begin = 0
        try:
            for cells in csv.reader(lines(), delimiter=self._delimiter, strict=True):
                yield begin, read, cells
                begin = read
        except csv.Error as error:
            raise UserError(f"{self.files[0]}: {error}") from error

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        begin, end = self._places[number].tolist()
        text = read_part(self.files[0], begin, end).decode()
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter))
        if len(cells) != len(self.columns):
            raise Unusable(f"{len(cells)} cells, and the header has {len(self.columns)}")
        return dict(zip(self.columns, cells, strict=True))

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[0].parent


class Texts:
    """Plain text files, each one row of the column ``text``."""

    columns: tuple[str, ...] = ("text",)

    def __init__(self, files: Sequence[Path]) -> None:
        self.files: tuple[Path, ...] = tuple(files)
        other = [file for file in files if not _is_utf8(file)]
        if other:
            raise UserError(
                f"{str(other[0])!r} is not UTF-8 text ({len(other)} of {len(files)} files); "
                "convert it with iconv, or take it out"
            )
        self._skipped_bytes = [_bom_bytes(file) for file in files]

    def __len__(self) -> int:
        return len(self.files)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        file = self.files[number]
        return {"text": decoded(file.read_bytes(), file).removeprefix("\ufeff")}

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[number].parent

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`~chiasm.data.table.Table`."""
        skipped = self._skipped_bytes[number]
        return read_part(self.files[number], begin + skipped, end + skipped)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with its line break, and where it begins."""
    begin = _bom_bytes(file)
    with file.open("rb") as opened:
        opened.seek(begin)
        for line in opened:
            yield begin, line
            begin += len(line)


def _bom_bytes(file: Path) -> int:
    with file.open("rb") as opened:
        return len(_BOM) if opened.read(len(_BOM)) == _BOM else 0


def _is_utf8(file: Path) -> bool:
    try:
        file.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parsed(text: bytes, file: Path) -> Any:
    return json.loads(decoded(text, file), parse_int=str, parse_float=str, parse_constant=str)


def _json_row(line: bytes, file: Path, number: int | None) -> Row:
    where = str(file) if number is None else f"{file}, line {number}"
    try:
        row = _parsed(line, file)
    except ValueError as error:
        raise UserError(f"{where} is no JSON ({error}); mend it, or take it out") from error
    if not isinstance(row, dict):
        raise UserError(f"{where} is no JSON object; write one object a line")
    return row


def _rows_of(file: Path) -> list[Row]:
    text = file.read_bytes().removeprefix(_BOM)
    try:
        content = _parsed(text, file)
    except ValueError as error:
        raise UserError(f"{file} is no JSON ({error}); mend it, or take it out") from error
    if isinstance(content, dict):
        content = next((content[key] for key in _ROWS_KEYS if key in content), None)
    if not _is_table(content):
        raise NoTable(f"{file} is no list of JSON objects; write one object for each row")
    return content


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
