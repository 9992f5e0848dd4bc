"""Tables of a user's data: rows by number, each a dictionary of what the file holds.

A cell is a string (the characters of the file), bytes, a list, a dictionary, or None where nothing
stands; a column of pictures holds paths or bytes. No type is guessed: ``007``, ``NA`` and ``1.10``
stay what was written. Nothing is copied or cached: a row is read from its file when it is asked
for, so that an edited file is never read from before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from chiasm.data.cells import texts
from chiasm.errors import UserError

Row = dict[str, Any]


class Unusable(UserError):
    """A row without what a document needs; the message is the reason in few words."""


class Table(Protocol):
    """Rows with random access."""

    columns: tuple[str, ...]
    files: tuple[Path, ...]
    """What it was read from."""

    def __len__(self) -> int: ...

    def row(self, number: int, *columns: str) -> Row:
        """Returns one row; columns that it lacks are left out.

        With ``columns``, others need not be read.

        Raises:
            UserError: the row cannot be read.
        """

    def folder(self, number: int) -> Path:
        """Returns the folder of the file that holds the row: what its paths are relative to."""

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """Returns bytes ``begin`` to ``end`` of a cell of text."""


class TextCells(ABC):
    """Parts of long texts, of tables that read a row whole."""

    def __init__(self) -> None:
        # A long text is cut into many documents, which are read one by one.
        self._encoded = lru_cache(maxsize=4)(self._encode)

    @abstractmethod
    def row(self, number: int, *columns: str) -> Row:
        """See :class:`Table`."""

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`Table`."""
        return self._encoded(number, column)[begin:end]

    def _encode(self, number: int, column: str) -> bytes:
        return "\n".join(texts(self.row(number, column).get(column), column)).encode()


class Joined:
    """Tables of several files, one after the other."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tuple(tables)
        self._ends = np.cumsum([len(table) for table in tables])
        self.columns = tuple(dict.fromkeys(c for table in tables for c in table.columns))
        self.files = tuple(file for table in tables for file in table.files)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.row(own, *columns)

    def folder(self, number: int) -> Path:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.folder(own)

    def utf8(self, number: int, column: str, begin: int, end: int) -> bytes:
        """See :class:`Table`."""
        table, own = self._place(number)
        return table.utf8(own, column, begin, end)

    def _place(self, number: int) -> tuple[Table, int]:
        which = int(np.searchsorted(self._ends, number, side="right"))
        return self._tables[which], number - int(self._ends[which]) + len(self._tables[which])


def read_part(file: Path, begin: int, end: int) -> bytes:
    """Returns a file's bytes from ``begin`` to ``end``; any thread may ask.

    Raises:
        UserError: they are not there, or not any more.
    """
    # Opened anew each time: a table may have more files than a process may hold open.
    try:
        with file.open("rb", buffering=0) as opened:
            opened.seek(begin)
            found = opened.read(end - begin)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if found is None or len(found) < end - begin:
        raise UserError(f"{file} has become shorter since it was opened")
    return found


def decoded(text: bytes, file: Path) -> str:
    """Returns UTF-8 bytes of a file as text.

    Raises:
        UserError: they are none.
    """
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{str(file)!r} is not UTF-8 text; convert it with iconv, or take it out"
        ) from error
