"""Documents of sentences and pictures in the order of the page that they come from.

Three forms of rows are known by their columns:

- ``images`` and ``texts``, two lists of one length: at each place a picture, or a text (OBELICS);
- ``text_list``, sentences, and ``image_info``, pictures, each before the sentence whose number is
  its ``matched_text_index`` (MMC4);
- ``spans``, a list of texts and of ``{"image": ...}``.

Pictures are bytes, or names of files, or of members of the row's tar. What has no file, such as a
web address, is left out of its document and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from chiasm.data.folders import FolderSource
from chiasm.data.index import Found
from chiasm.data.media import IMAGE
from chiasm.data.reading import Unusable
from chiasm.data.survey import BESIDE, file_identity, text_identity
from chiasm.data.table import cells
from chiasm.documents import Document, Image, Span, Text

FORMS = (("images", "texts"), ("image_info", "text_list"), ("spans",))
"""Columns of each form, that of the pictures first."""

_GAPS = {"texts": "\n\n", "text_list": " ", "spans": "\n"}
"""What stands between two texts of a document."""

_NAMES = ("image", "image_name", "file_name", "path")
"""Entries of a picture that may name its file."""

_DIGITS = 19
"""Of no number of a sentence; of very many Python makes no number."""

Content = str | bytes | Path
"""A text, or the picture of a document: its bytes or its file."""


class Listed(NamedTuple):
    """A part of a document as its row has it."""

    value: Any
    is_text: bool


class InterleavedSource(FolderSource):
    """Each row once with pictures that are seen, and once with pictures that are drawn.

    Rows whose pictures are all left out are one document of text. Shape suffixes: N documents.
    """

    def __init__(self, *args: Any, **own: Any) -> None:
        self._left: Counter[str] = Counter()
        self._found: list[tuple[int, bool]] = []
        super().__init__(*args, **own)

    def __len__(self) -> int:
        return len(self._documents_N2)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document, which has one form only."""
        number, drawn = self._documents_N2[index].tolist()
        return Document(tuple(self._spans(self._row(number), target=bool(drawn))))

    @property
    def identities(self) -> np.ndarray:
        """int64 [N]: equal for equal words, or within a group."""
        return self.survey.identity_R[self._documents_N2[:, 0]]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of documents."""
        told = ", ".join(f"{reason}: {count:,}" for reason, count in self._left.items())
        return (f"pictures left out of documents: {told}",) if told else ()

    def _described(self) -> str:
        return f"interleaved 1 {super()._described()}"

    def _surveyed(self) -> Found:
        found = super()._surveyed()
        documents_N2 = np.array(self._found, dtype=np.int64).reshape(-1, 2)
        facts = {**found.facts, "left": dict(self._left)}
        return Found(facts, {**found.arrays, "documents": documents_N2}, found.looked_at)

    def _outlined(self) -> Found:
        found = super()._outlined()
        documents_N2 = np.indices((len(self._table), 2)).reshape(2, -1).T
        return Found({**found.facts, "left": {}}, {**found.arrays, "documents": documents_N2})

    def _take(self, found: Found) -> None:
        super()._take(found)
        self._documents_N2, self._left = found.arrays["documents"], Counter(found.facts["left"])

    def _content(self, number: int) -> tuple[bytes, ...]:
        left: Counter[str] = Counter()
        parts = self._row(number, left)
        self._left += left
        texts = [part for part in parts if isinstance(part, str)]
        said = [part.encode() if isinstance(part, str) else file_identity(part) for part in parts]
        words = text_identity(" ".join(texts))
        whole = xxhash.xxh3_128_digest(words or b"".join(said))
        self._found.append((number, False))
        if len(texts) < len(parts):
            self._found.append((number, True))
        order = bytes(isinstance(part, str) for part in parts)
        return self._group(number) or whole, order, *said

    def _row(self, number: int, left: Counter[str] | None = None) -> tuple[Content, ...]:
        """Returns the texts and pictures of a row, in order; ``left`` counts what is left out.

        Raises:
            Unusable: the row is none of the forms, or nothing of it is left.
        """
        counted: Counter[str] = Counter() if left is None else left
        row = cells(self._table, number, *self._columns, IMAGE.column)
        if row[IMAGE.column] is not None and all(row[column] is None for column in self._columns):
            raise Unusable(BESIDE)
        found: list[Content] = []
        for part in listed(row, self._columns):
            own = part.value if part.is_text else self._picture_of(part.value, number, counted)
            if own is not None and not (isinstance(own, str) and not own.strip()):
                found.append(own)
        if not found:
            raise Unusable("neither a text nor a picture")
        return tuple(found)

    def _picture_of(self, cell: Any, number: int, left: Counter[str]) -> bytes | Path | None:
        """Returns a picture's bytes or file; None where it has none."""
        if isinstance(cell, Mapping):
            names = (cell.get(name) for name in _NAMES)
            cell = cell.get("bytes") or next((name for name in names if name), None)
        if isinstance(cell, bytes) and cell:
            return cell
        if not isinstance(cell, str) or not cell:
            left["no name and no bytes"] += 1
            return None
        if cell.startswith(("http://", "https://")):
            left["web address without a file"] += 1
            return None
        if (member := self._table.member(number, cell)) is not None:
            return member
        table = self._table.file(number)
        file = self._files.find(table.parent / cell, table)
        if not os.path.isfile(file):
            left["file missing"] += 1
            return None
        return file

    def _spans(self, parts: Sequence[Content], *, target: bool) -> Iterator[Span]:
        gap, after_text = _GAPS.get(self._columns[-1], "\n"), False
        for part in parts:
            if isinstance(part, str):
                # A sentence is a span of its own, so that long documents are cut between them.
                yield Text(gap + part if after_text else part)
            else:
                yield Image(part, target=target)
            after_text = isinstance(part, str)


def listed(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Listed]:
    """Yields the texts and pictures of a row in the order of its page.

    Raises:
        Unusable: its cells are not what their form has.
    """
    lists = [_list(row.get(column), column) for column in columns]
    if len(columns) == 1:
        yield from map(_of_span, lists[0])
        return
    pictures, texts = lists
    if columns[0] == "image_info":
        yield from _matched(pictures, texts)
        return
    if len(pictures) != len(texts):
        raise Unusable(f"{columns[0]} and {columns[1]} of different length")
    for picture, text in zip(pictures, texts, strict=True):
        if picture is not None:
            yield Listed(picture, is_text=False)
        if text is not None:
            yield Listed(_text(text), is_text=True)


def _matched(pictures: Sequence[Any], texts: Sequence[Any]) -> Iterator[Listed]:
    before: dict[int, list[Any]] = {}
    for picture in pictures:
        place = picture.get("matched_text_index") if isinstance(picture, Mapping) else None
        digits = str(place)
        if not (digits.isdecimal() and len(digits) < _DIGITS and int(digits) < len(texts)):
            raise Unusable("a picture without a matched_text_index that is a sentence's")
        before.setdefault(int(digits), []).append(picture)
    for number, text in enumerate(texts):
        yield from (Listed(picture, is_text=False) for picture in before.get(number, ()))
        yield Listed(_text(text), is_text=True)


def _of_span(span: Any) -> Listed:
    if isinstance(span, Mapping) and span.get("text") is not None:
        return Listed(_text(span["text"]), is_text=True)
    if isinstance(span, Mapping) and span.get("image") is not None:
        return Listed(span["image"], is_text=False)
    return Listed(_text(span), is_text=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unusable(f"a {type(value).__name__} among the texts")
    return value


def _list(cell: Any, column: str) -> list[Any]:
    if cell is None:
        raise Unusable(f"no {column}")
    if not isinstance(cell, list):
        raise Unusable(f"{column} is no list")
    return cell
