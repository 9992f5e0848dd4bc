"""Sources of plain texts, long ones cut into documents."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from chiasm.data.cells import texts
from chiasm.data.folders import FolderSource
from chiasm.data.index import Found
from chiasm.data.reading import Unusable
from chiasm.data.survey import hashed, text_identity
from chiasm.data.table import Table, cells
from chiasm.documents import Document, Text


class TextSource(FolderSource):
    """Texts, long ones cut at paragraphs into documents of bounded length.

    Shape suffixes: N documents.
    """

    def __init__(self, name: str, table: Table, column: str, characters: int, **own: Any) -> None:
        self._characters = characters
        self._found = array("q")
        super().__init__(name, table, column, **own)

    def _described(self) -> str:
        return f"{super()._described()} {self._characters}"

    def _surveyed(self) -> Found:
        found = super()._surveyed()
        # Row, begin and end in bytes of UTF-8, and identity of each document.
        parts_N4 = np.array(self._found, dtype=np.int64).reshape(-1, 4)
        self._found = array("q")
        return Found(found.facts, {**found.arrays, "parts": parts_N4}, found.looked_at)

    def _take(self, found: Found) -> None:
        super()._take(found)
        self._parts_N4 = found.arrays["parts"]

    def __len__(self) -> int:
        return len(self._parts_N4)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document, which has one form only."""
        number, begin, end, _ = self._parts_N4[index].tolist()
        [column] = self._columns
        return Document((Text(self._table.utf8(number, column, begin, end).decode()),))

    @property
    def identities(self) -> np.ndarray:
        """int64 [N]: equal for equal words, or within a group."""
        return self._parts_N4[:, 3]

    def _content(self, number: int) -> tuple[bytes, ...]:
        [column] = self._columns
        text = "\n".join(texts(cells(self._table, number, column)[column], column))
        group = self._group(number)
        if not text.strip():
            raise Unusable(f"no {column}")
        whole = text.encode()
        begin = 0
        for part in cut_text(text, self._characters):
            end = begin + len(part.encode())
            if part.strip():
                self._found.extend((number, begin, end, hashed(group or text_identity(part))))
            begin = end
        return group or whole, whole, str(self._characters).encode()


def cut_text(text: str, characters: int) -> Iterator[str]:
    """Yields parts of at most ``characters``, cut at the best mark in the second half of each.

    A paragraph is a better mark than a line, a line than a sentence, a sentence than a word; of
    one kind the last mark counts, and without any the cut is at the limit. The joined parts are
    the text.
    """
    marks = ("\r\n\r\n", "\n\n", "\n", ". ", " ")
    begin = 0
    while len(text) - begin > characters:
        earliest, latest = begin + characters // 2, begin + characters
        found = ((text.rfind(mark, earliest, latest), len(mark)) for mark in marks)
        end = next((at + length for at, length in found if at >= 0), latest)
        yield text[begin:end]
        begin = end
    yield text[begin:]
