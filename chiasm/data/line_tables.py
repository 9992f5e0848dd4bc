"""Tables in text files: JSON lines, JSON, CSV, and plain texts.

All are UTF-8; a byte order mark is no part of the text. Numbers stay the characters of the file,
in JSON too: ``3`` beside ``2.5`` is ``3``.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.reading import Unusable
from chiasm.data.storage import read_part
from chiasm.data.table import (
    FileTable,
    Part,
    Row,
    Table,
    bom_bytes,
    decoded,
    parsed_json,
    read_text,
    refuse_repeated,
)
from chiasm.errors import UserError

_ROWS_KEYS = ("data", "rows", "examples", "records")
_FIRST_OBJECT = re.compile(r"\s*\{.*\}[^\S\n]*\n\s*\{")
"""JSON lines in a file named as JSON: an object on one line, and another on a line below it."""
_DELIMITERS = ",;\t"
_LISTING = 1
"""Version of what the index holds of a file."""

# A text in one cell may be long; the csv module's own limit, of the whole process, is 128 KiB.
csv.field_size_limit(2**31 - 1)


class NoTable(UserError):
    """A JSON file that holds no table."""


class JsonLines(FileTable):
    """A JSON object per line; blank lines are skipped."""

    def __init__(self, file: Path, index: Index = NO_INDEX, content: Path | None = None) -> None:
        super().__init__(file, content=content)
        found = index.of(f"lines {_LISTING}", [self.content], self._listed)
        self._places = found.arrays["places"]
        self.columns = tuple(found.facts["columns"])

    def _listed(self) -> Found:
        names: dict[str, None] = {}
        places, file = array("q"), self.files[0]
        for number, (begin, line) in enumerate(_lines(self.content), start=1):
            if line.strip():
                names.update(dict.fromkeys(_json_row(line, file, f"{file}, line {number}")))
                places.extend((begin, begin + len(line)))
        return _places(places, names)

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        file = self.files[0]
        return _json_row(read_part(self.content, *self._places[number].tolist()), file, file)


class Json(FileTable):
    """A JSON list of objects, such a list under a key like ``data``, or one object; read whole.

    So is a file in the layout of COCO: a row for each of its images, with the list of its captions
    as ``caption``, and the names of what is in it as ``categories``.
    """

    def __init__(self, file: Path, text: str) -> None:
        super().__init__(file)
        content = parsed_json(text, file)
        self._rows = _of_coco(content) if _is_coco(content) else _rows_of(content, file)
        self.columns = tuple(dict.fromkeys(name for row in self._rows for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        return self._rows[number]


def open_json(file: Path, index: Index = NO_INDEX, content: Path | None = None) -> Table:
    """Returns the table in a JSON file, which may hold JSON lines.

    Raises:
        UserError: it is no JSON, or NoTable: it holds no table.
    """
    text = read_text(content or file)
    return JsonLines(file, index, content) if _FIRST_OBJECT.match(text) else Json(file, text)


class Csv(FileTable):
    """Comma-separated cells, the names of columns in the first row.

    Cells are strings. If the first row has no comma, the delimiter is a semicolon, else a tab. A
    row with another number of cells than the first is unusable when it is read.
    """

    def __init__(
        self,
        file: Path,
        index: Index = NO_INDEX,
        content: Path | None = None,
        *,
        delimiter: str = "",
    ) -> None:
        super().__init__(file, content=content)
        self._delimiter = delimiter or self._usual_delimiter()
        what = f"csv {_LISTING} {self._delimiter!r}"
        found = index.of(what, [self.content], self._listed)
        self._places = found.arrays["places"]
        self.columns = tuple(found.facts["columns"])

    def _usual_delimiter(self) -> str:
        lines = (line for _, line in _lines(self.content) if line.strip())
        header = next(lines, b"").decode(errors="replace")
        return next((mark for mark in _DELIMITERS if mark in header), ",")

    def _listed(self) -> Found:
        places = array("q")
        header: list[str] = []
        for begin, end, cells in self._records():
            if not header:
                header = [name.strip() for name in cells]
            elif cells:  # a blank line has none
                places.extend((begin, end))
        refuse_repeated(header, self.files[0])
        return _places(places, header)

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Yields begin, end and cells of each record; a quoted cell may hold line breaks."""
        file, read = self.files[0], 0

        def lines() -> Iterator[str]:
            nonlocal read
            for begin, line in _lines(self.content):
                read = begin + len(line)
                yield decoded(line, file)

        records = csv.reader(lines(), delimiter=self._delimiter, strict=True)
        begin, first_line = 0, 1
        try:
            for cells in records:
                yield begin, read, cells
                begin, first_line = read, records.line_num + 1
        except csv.Error as error:
            raise UserError(
                f"{file}, line {first_line}: {error}; mend its quotes, or take it out"
            ) from error

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        text = decoded(read_part(self.content, *self._places[number].tolist()), self.files[0])
        cells = next(csv.reader((text,), delimiter=self._delimiter), [])
        if len(cells) != len(self.columns):
            raise Unusable(f"{len(cells)} cells, and the header has {len(self.columns)}")
        return dict(zip(self.columns, cells, strict=True))


class Texts:
    """Plain text files, each a row of the one column ``text``."""

    columns: tuple[str, ...] = ("text",)
    beside: tuple[Path, ...] = ()

    def __init__(self, files: Sequence[Path]) -> None:
        self.files: tuple[Path, ...] = tuple(files)
        other = [file for file in files if not _is_text(file)]
        if other:
            raise UserError(
                f"{str(other[0])!r} is not UTF-8 text ({len(other)} of {len(files)} files); "
                "convert it with iconv, or take it out"
            )

    def __len__(self) -> int:
        return len(self.files)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        return {"text": read_text(self.files[number])}

    def file(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[number]

    def name(self, number: int) -> bytes:
        """See :class:`~chiasm.data.table.Table`."""
        return str(self.files[number]).encode(errors="replace")

    def member(self, number: int, name: str) -> bytes | None:
        """See :class:`~chiasm.data.table.Table`."""
        return None

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`~chiasm.data.table.Table`."""
        file = self.files[number]
        skipped = bom_bytes(file)
        return read_part(file, begin + skipped, end + skipped)

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`~chiasm.data.table.Table`."""
        return Part(self, files)


def _places(places: array[int], columns: Iterable[str]) -> Found:
    ends = np.array(places, dtype=np.int64).reshape(-1, 2)
    return Found({"columns": list(columns)}, {"places": ends})


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the begin of each line, in bytes, and the line with its line break."""
    begin = bom_bytes(file)
    with file.open("rb") as opened:
        opened.seek(begin)
        for line in opened:
            yield begin, line
            begin += len(line)


def _is_text(file: Path) -> bool:
    try:
        decoded(file.read_bytes(), file)
    except UserError:
        return False
    return True


def _json_row(line: bytes, file: Path, where: object) -> Row:
    row = parsed_json(decoded(line, file), where)
    if not isinstance(row, dict):
        raise UserError(f"{where} is no JSON object; write one object a line")
    return row


def _rows_of(content: Any, file: Path) -> list[Row]:
    if isinstance(content, dict):
        if not any(map(_is_table, content.values())):
            return [content]
        content = next((content[key] for key in _ROWS_KEYS if _is_table(content.get(key))), None)
    if not _is_table(content):
        raise NoTable(f"{file} is no list of JSON objects; write one object for each row")
    return content


def _is_coco(content: Any) -> bool:
    keys = {"images": "file_name", "annotations": "image_id"}
    return isinstance(content, dict) and all(
        _is_table(content.get(key)) and any(own in each for each in content[key])
        for key, own in keys.items()
    )


def _of_coco(content: Mapping[str, Any]) -> list[Row]:
    """Returns a row for each image of a COCO file, with what its annotations say of it."""
    kinds = content.get("categories") or []
    names = {str(each.get("id")): each.get("name") for each in kinds if isinstance(each, dict)}
    said: dict[Any, dict[str, list[Any]]] = {}
    for each in content["annotations"]:
        own = said.setdefault(str(each.get("image_id")), {})
        if each.get("caption") is not None:
            own.setdefault("caption", []).append(each["caption"])
        name = names.get(str(each.get("category_id")))
        if name is not None and name not in own.get("categories", ()):
            own.setdefault("categories", []).append(name)
    return [{**image, **said.get(str(image.get("id")), {})} for image in content["images"]]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
