"""Tables of a user's data: rows by number, each a dictionary of cells.

A cell is a string (the characters of the file), bytes, a list, a dictionary, or None if it is
empty; a column of pictures holds paths or bytes. No type is guessed: ``007``, ``NA`` and ``1.10``
stay as written. A row is read from its file when it is requested, except that JSON lists are read
whole and Arrow tables are mapped from a copy.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from chiasm.data.cells import texts
from chiasm.data.reading import Unusable
from chiasm.errors import UserError

Row = dict[str, Any]

_BOM = b"\xef\xbb\xbf"
_JSON = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=lambda name: None if name == "NaN" else name
)
"""Numbers stay strings as written; NaN, which Python writes for missing values, becomes None."""


class Table(Protocol):
    """Rows with random access."""

    columns: tuple[str, ...]
    files: tuple[Path, ...]
    """Files that hold the rows."""
    beside: tuple[Path, ...]
    """Further files that rows are read from."""

    def __len__(self) -> int: ...

    def row(self, number: int, *columns: str) -> Row:
        """Returns one row; columns that it lacks are left out.

        If ``columns`` are given, others need not be read.

        Raises:
            UserError: the row cannot be read.
        """

    def file(self, number: int) -> Path:
        """Returns the row's file; paths in the row are relative to its folder."""

    def name(self, number: int) -> bytes:
        """Returns what tells a row from all others, without reading it."""

    def member(self, number: int, name: str) -> bytes | None:
        """Returns what lies beside the row in its file under a name, as in a tar; else None."""

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """Returns UTF-8 bytes ``begin`` to ``end`` of a cell of text."""

    def of_files(self, files: Collection[Path]) -> Table:
        """Returns the rows of some of its files, with all its columns."""


class FileTable(ABC):
    """Base of tables whose rows are read whole."""

    columns: tuple[str, ...]
    beside: tuple[Path, ...] = ()

    def __init__(self, *files: Path, content: Path | None = None) -> None:
        self.files: tuple[Path, ...] = files
        # What a compressed file holds stands in a copy.
        self.content = content or (files[0] if files else Path())
        # A long text is cut into many documents, which are read one by one from the same cell.
        self._encoded = lru_cache(maxsize=4)(self._encode)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, number: int, *columns: str) -> Row:
        """See :class:`Table`."""

    def file(self, number: int) -> Path:
        """See :class:`Table`; that of the hub is of the working folder."""
        return self.files[0] if self.files else Path()

    def name(self, number: int) -> bytes:
        """See :class:`Table`."""
        return f"{self.file(number).name}\0{number}".encode(errors="replace")

    def member(self, number: int, name: str) -> bytes | None:
        """See :class:`Table`."""
        return None

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`Table`."""
        return self._encoded(number, column)[begin:end]

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`Table`."""
        return self

    def _encode(self, number: int, column: str) -> bytes:
        return "\n".join(texts(cells(self, number, column)[column], column)).encode()


class Joined:
    """Tables of several files, concatenated."""

    def __init__(self, tables: Sequence[Table], columns: Sequence[str] = ()) -> None:
        self._tables = tuple(tables)
        self._ends = list(accumulate(map(len, tables)))
        every = (name for table in tables for name in table.columns)
        self.columns = tuple(columns or dict.fromkeys(every))
        self.files = tuple(file for table in tables for file in table.files)
        self.beside = tuple(file for table in tables for file in table.beside)

    def __len__(self) -> int:
        return self._ends[-1]

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.row(own, *columns)

    def file(self, number: int) -> Path:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.file(own)

    def name(self, number: int) -> bytes:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.name(own)

    def member(self, number: int, name: str) -> bytes | None:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.member(own, name)

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.utf8(own, column, begin, end)

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`Table`."""
        return Joined([table for table in self._tables if table.files[0] in files], self.columns)

    def _place(self, number: int) -> tuple[Table, int]:
        which = bisect_right(self._ends, number)
        return self._tables[which], number - self._ends[which] + len(self._tables[which])


class Part:
    """Some rows of a table with a file per row."""

    def __init__(self, table: Table, files: Collection[Path]) -> None:
        self._table = table
        own = {str(file) for file in files}  # whose hashes are those that strings keep
        self._numbers = [n for n, file in enumerate(table.files) if str(file) in own]
        self.columns = table.columns
        self.files = tuple(table.files[number] for number in self._numbers)
        self.beside = table.beside

    def __len__(self) -> int:
        return len(self._numbers)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`Table`."""
        return self._table.row(self._numbers[number], *columns)

    def file(self, number: int) -> Path:
        """See :class:`Table`."""
        return self.files[number]

    def name(self, number: int) -> bytes:
        """See :class:`Table`."""
        return self._table.name(self._numbers[number])

    def member(self, number: int, name: str) -> bytes | None:
        """See :class:`Table`."""
        return self._table.member(self._numbers[number], name)

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`Table`."""
        return self._table.utf8(self._numbers[number], column, begin, end)

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`Table`."""
        return Part(self, files)


def cells(table: Table, number: int, *columns: str) -> Row:
    """Returns cells of a row by column; those that it lacks are None.

    A column that the table lacks may lead into a cell: ``json.caption`` is the entry ``caption`` of
    the cell ``json``, ``answers.0.answer`` that of the first of its ``answers``.

    Raises:
        UserError: the row cannot be read.
    """
    for column in columns:  # a loop of its own: shards are read by the microsecond
        if "." in column and column not in table.columns:
            return _parts(table, number, *columns)
    row = table.row(number, *columns)
    return {column: row.get(column) for column in columns}


def _parts(table: Table, number: int, *columns: str) -> Row:
    """Returns cells of a row by column, of which some lead into cells."""
    heads = {column: head_of(column, table.columns) for column in columns}
    row = table.row(number, *dict.fromkeys(heads.values()))
    try:
        return {
            column: _inside(row.get(head), column.removeprefix(head).lstrip("."))
            for column, head in heads.items()
        }
    except RecursionError as error:
        raise Unusable("a cell nested too deep") from error


def head_of(column: str, columns: Collection[str]) -> str:
    """Returns the column of a table that a name leads into; the name itself if there is none."""
    heads = [column]
    while "." in heads[-1] and heads[-1] not in columns:
        heads.append(heads[-1].rpartition(".")[0])
    return heads[-1] if heads[-1] in columns else column


def _inside(cell: Any, path: str) -> Any:
    """Returns what a path of names and numbers leads to in a cell; of a list, in each entry."""
    if not path or cell is None:
        return cell
    if isinstance(cell, str | bytes):
        cell = _parsed(cell)
    if isinstance(cell, Mapping):
        # Names of entries may have dots of their own.
        names = [name for name in cell if f"{path}.".startswith(f"{name}.")]
        name = max(names, key=len, default=None)
        return None if name is None else _inside(cell[name], path[len(name) :].lstrip("."))
    if isinstance(cell, list):
        first, _, rest = path.partition(".")
        if first.isdecimal():
            return _inside(cell[int(first)], rest) if int(first) < len(cell) else None
        return [_inside(each, path) for each in cell]
    return None


def _parsed(cell: str | bytes) -> Any:
    try:
        return _JSON.decode(cell.decode() if isinstance(cell, bytes) else cell)
    except (ValueError, RecursionError):
        return None


def read_text(file: Path) -> str:
    """Returns the text of a UTF-8 file; a byte order mark is no part of it.

    Raises:
        UserError: it cannot be read, or is no such text.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    return decoded(content.removeprefix(_BOM), file)


def bom_bytes(file: Path) -> int:
    """Returns the length of a file's byte order mark: 3 or 0."""
    with file.open("rb") as opened:
        return len(_BOM) if opened.read(len(_BOM)) == _BOM else 0


def decoded(text: bytes, file: Path) -> str:
    """Returns the decoded text of UTF-8 bytes of a file.

    Raises:
        UserError: they are not UTF-8, or contain NUL, as UTF-16 does for most letters.
    """
    try:
        if b"\0" not in text:
            return text.decode()
    except UnicodeDecodeError:
        pass
    raise UserError(f"{str(file)!r} is not UTF-8 text; convert it with iconv, or take it out")


def parsed_json(text: str, where: object) -> Any:
    """Returns the value of a JSON text, its numbers as strings.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is no JSON ({error}); mend it, or take it out") from error


def refuse_repeated(columns: Iterable[str], file: Path) -> None:
    """Raises a UserError if two columns have one name: only one of them could be read."""
    seen: set[str] = set()
    for name in columns:
        if name and name in seen:
            raise UserError(f"{file} has two columns that are called {name!r}; rename one")
        seen.add(name)
