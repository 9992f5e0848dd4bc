"""Sources from users' own tables: plain texts, picture and text, question and answer.

Documents name their task in words, as those of the embedded world do. Opening a source reads every
row once: unusable rows are left out and counted, and every document gets the hash by which it is
held out (:mod:`chiasm.data.survey`).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.cells import picture, texts
from chiasm.data.survey import (
    Survey,
    hashed,
    picture_identity,
    survey,
    text_identity,
)
from chiasm.data.table import Table, Unusable
from chiasm.documents import Document, Image, Text, question_spans


class FolderSource(ABC):
    """Documents of a table's rows, each built from the cells of some columns.

    Args:
        name: name of the source, for messages.
        table: table of the rows; each is read once when the source is opened.
        columns: columns that are read, that of the pictures first.
        root: folder of all files: pictures are looked for in folders up to this one.
        group_column: column with the group of a row; empty: rows have no groups.

    Raises:
        UserError: a column cannot be used at all.
    """

    documents_per_row = 1
    varied = False
    """Whether any document has several forms: see :meth:`variant`."""

    def __init__(
        self, name: str, table: Table, *columns: str, root: Path = Path(), group_column: str = ""
    ) -> None:
        self.name = name
        self._table, self._columns = table, columns
        self._root = root
        self._group_column = group_column
        self.survey: Survey = survey(table, self._content)

    def __len__(self) -> int:
        return self.documents_per_row * len(self._table)

    def __getitem__(self, index: int) -> Document:
        return self.variant(index, 0)

    @abstractmethod
    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms: ``turn`` chooses among its texts."""

    def selected(self, indices: np.ndarray) -> Selection:
        """Returns some of the documents as a source."""
        return Selection(self, indices)

    def _content(self, number: int) -> tuple[bytes, ...]:
        """Returns a row's identity, then everything else that its documents are made of.

        Raises:
            Unusable: the row lacks something.
        """
        data, *words = self._row(number)
        self.varied |= any(len(texts) > 1 for texts in words)
        own = picture_identity(data)
        return self._group(number) or own, own, *self._said(*words)

    def _said(self, *words: tuple[str, ...]) -> Iterable[bytes]:
        """Returns the words of a row for its fingerprint."""
        return (text.encode() for texts in words for text in texts)

    @property
    def identities(self) -> np.ndarray:
        """int64 [N], one per document: equal if they are held out together; -1: unusable."""
        return np.repeat(self.survey.identity_R, self.documents_per_row)

    def _group(self, number: int) -> bytes | None:
        """Returns the group of a row; None without a column of groups."""
        if not self._group_column:
            return None
        row = self._table.row(number, self._group_column)
        return "\0".join(self._words(row, self._group_column)).encode()

    def _words(self, row: dict, column: str) -> tuple[str, ...]:
        """Returns the texts of a cell, without the blanks around them.

        Raises:
            Unusable: there is none.
        """
        found = tuple(text.strip() for text in texts(row.get(column), column))
        found = tuple(text for text in found if text)
        if not found:
            raise Unusable(f"no {column}")
        return found

    def _row(self, number: int) -> tuple[Any, ...]:
        """Returns the picture of a row, its file or bytes, and the texts of each further column.

        Raises:
            Unusable: the row lacks one.
        """
        image, *columns = self._columns
        row = self._table.row(number, *self._columns)
        data = self._picture(row, image, number)
        return data, *(self._words(row, column) for column in columns)

    def _picture(self, row: dict, column: str, number: int) -> Path | bytes:
        """Returns a picture's file or bytes; paths are relative to the table's folder or one above.

        Raises:
            Unusable: there is none.
        """
        folder = self._table.folder(number)
        data = picture(row.get(column), folder, column)
        if data is None:
            raise Unusable(f"no {column}")
        if isinstance(data, Path) and not os.path.isfile(data):
            relative = data.relative_to(folder) if data.is_relative_to(folder) else data
            above = (each / relative for each in folder.parents if each.is_relative_to(self._root))
            return next((file for file in above if os.path.isfile(file)), data)
        return data


class TextSource(FolderSource):
    """Texts, long ones cut at paragraphs into documents of bounded length.

    Shape suffixes: N documents.
    """

    def __init__(self, name: str, table: Table, column: str, characters: int, **own: Any) -> None:
        self._characters = characters
        self._found: list[tuple[int, int, int, int]] = []
        super().__init__(name, table, column, **own)
        # Row, begin and end in bytes of UTF-8, and identity of each document.
        self._parts_N4 = np.array(self._found, dtype=np.int64).reshape(-1, 4)
        self._found.clear()  # a list of tuples takes many times the memory of the array

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
        text = "\n".join(texts(self._table.row(number, column).get(column), column))
        group = self._group(number)
        if not text.strip():
            raise Unusable(f"no {column}")
        whole = text.encode()
        begin = 0
        for part in cut_text(text, self._characters):
            end = begin + len(part.encode())
            if part.strip():
                self._found.append((number, begin, end, hashed(group or text_identity(part))))
            begin = end
        return group or whole, whole, str(self._characters).encode()


class ImageTextSource(FolderSource):
    """Pictures and their texts, each pair once to caption and once to generate.

    Documents 2i and 2i + 1 are row i: [Image(context), "caption: ..."] and
    ["picture: ...", Image(target)]. Several texts of a picture take turns.
    """

    documents_per_row = 2

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its texts."""
        data, words = self._row(index // 2)
        text = words[(turn + index) % len(words)]
        if index % 2:
            return Document((Text(f"picture: {text}"), Image(data, target=True)))
        return Document((Image(data, target=False), Text(f"caption: {text}")))


class PictureSource(FolderSource):
    """Pictures without their texts, each one document: [Image(context)]."""

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document, which has one form only."""
        [data] = self._row(index)
        return Document((Image(data, target=False),))


class QuestionSource(FolderSource):
    """Pictures with a question and its answer: [Image, "question: ... answer:", " ...\\n"].

    Several questions or answers take turns; scoring reads the first answer.
    """

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its questions and answers."""
        data, questions, answers = self._row(index)
        question, answer = questions[turn % len(questions)], answers[turn % len(answers)]
        return Document((Image(data, target=False), *question_spans(question, answer)))

    def _said(self, *words: tuple[str, ...]) -> Iterable[bytes]:
        questions, answers = words
        return ["\0".join((*questions, "", *answers)).encode()]


class Selection:
    """Some of a source's documents, in the source's order."""

    def __init__(self, source: FolderSource, indices: np.ndarray) -> None:
        self.name = source.name
        self.varied = source.varied
        self._source = source
        self._indices = indices
        self._clusters = source.identities[indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Document:
        return self._source[int(self._indices[index])]

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms."""
        return self._source.variant(int(self._indices[index]), turn)

    def cluster_of(self, index: int) -> int:
        """Returns the identity that documents of one group, picture or text share."""
        return int(self._clusters[index])


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
