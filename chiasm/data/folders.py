"""Sources from users' own tables: picture and text, question and answer, and their base.

Documents name their task in words, as those of the embedded world do. Opening a source reads every
row once: unusable rows are left out and counted, and every document gets the hash by which it is
held out (:mod:`chiasm.data.survey`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chiasm.data.cells import file_or_bytes, texts
from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.media import IMAGE, Medium
from chiasm.data.media_files import MediaFiles, is_endless
from chiasm.data.reading import Unusable
from chiasm.data.survey import (
    READING,
    Survey,
    file_identity,
    outline,
    survey,
)
from chiasm.data.table import Table, cells
from chiasm.documents import (
    CAPTION_PROMPT,
    PICTURE_PROMPT,
    TEMPLATE,
    Document,
    Image,
    Text,
    question_spans,
)


class FolderSource(ABC):
    """Documents of a table's rows, each built from the cells of some columns.

    Args:
        name: name of the source, for messages.
        table: table of the rows; each is read once when the source is opened.
        columns: columns that are read, that of the files first.
        files: finds files that rows name.
        group_column: column with the group of a row; empty: rows have no groups.
        by_name: whether no row is read when the source is opened: see :func:`outline`.
        index: knows what was found when unchanged files were read.

    Raises:
        UserError: a column cannot be used at all.
    """

    documents_per_row = 1
    varied = False
    """Whether any document has several forms: see :meth:`variant`."""
    medium: ClassVar[Medium] = IMAGE
    """What the first column holds."""

    def __init__(
        self,
        name: str,
        table: Table,
        *columns: str,
        files: MediaFiles | None = None,
        group_column: str = "",
        by_name: bool = False,
        index: Index = NO_INDEX,
    ) -> None:
        self.name = name
        self._table, self._columns = table, columns
        self._files = MediaFiles() if files is None else files
        self._group_column = group_column
        if not table.files:  # of the hub
            index = NO_INDEX
        if by_name:
            self._take(self._outlined())
        else:
            read = (*table.files, *table.beside)
            self._take(index.of(self._described(), read, self._surveyed))

    def _described(self) -> str:
        """Returns all that what is found depends on, beside the files."""
        own = (READING, type(self).__name__, self._columns, self._group_column)
        return repr(("survey with unusable rows", *own, str(self._files.root), self._files.digest))

    def _surveyed(self) -> Found:
        self._files.looked_at = {}
        whole = survey(self._table, self._content)
        looked_at, self._files.looked_at = list(self._files.looked_at), None
        return whole.found(self.varied, looked_at)

    def _outlined(self) -> Found:
        self.varied = True  # any row may have several texts
        return outline(self._table).found(self.varied)

    def _take(self, found: Found) -> None:
        self.survey, self.varied = Survey.of(found), found.facts["varied"]

    def __len__(self) -> int:
        return self.documents_per_row * len(self._table)

    def __getitem__(self, index: int) -> Document:
        return self.variant(index, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how rows were read."""
        return ()

    @abstractmethod
    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms: ``turn`` chooses among its texts."""

    def answers(self, index: int) -> tuple[tuple[str, ...], ...]:
        """Returns all answers to each question of a document; empty where none are asked."""
        return ()

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
        own = file_identity(data, self.medium)
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
        row = cells(self._table, number, self._group_column)
        return "\0".join(self._words(row, self._group_column)).encode()

    def _words(self, row: dict, column: str) -> tuple[str, ...]:
        """Returns the texts of a cell, without the blanks around them.

        Raises:
            Unusable: there is none.
        """
        cell = row.get(column)
        if isinstance(cell, str) and (text := cell.strip()):  # nearly all
            return (text,)
        found = tuple(filter(None, map(str.strip, texts(cell, column))))
        if not found:
            raise Unusable(f"no {column}")
        return found

    def _row(self, number: int) -> tuple[Any, ...]:
        """Returns the file of a row or its bytes, and the texts of each further column.

        Raises:
            Unusable: the row lacks one.
        """
        image, *columns = self._columns
        row = cells(self._table, number, *self._columns)
        data = self._file(row, image, number)
        return data, *[self._words(row, column) for column in columns]

    def _file(self, row: dict, column: str, number: int) -> Path | bytes:
        """Returns a file or its bytes; paths are relative to the table's folder or one above.

        Raises:
            Unusable: there is none.
        """
        cell = row.get(column)
        if isinstance(cell, bytes) and cell:  # of shards, where each microsecond counts
            return cell
        file = self._table.file(number)
        data = file_or_bytes(cell, file.parent, column, self.medium)
        if data is None:
            raise Unusable(f"no {column}")
        if isinstance(data, bytes):
            return data
        found = self._files.find(data, file)
        if is_endless(found):
            raise Unusable(f"{self.medium.noun} file is a pipe or a device", str(found))
        return found


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
            return Document((Text(f"{PICTURE_PROMPT} {text}"), Image(data, target=True)))
        return Document((Image(data, target=False), Text(f"{CAPTION_PROMPT} {text}")))


class PictureSource(FolderSource):
    """Pictures without their texts, each one document: [Image(context)]."""

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document, which has one form only."""
        [data] = self._row(index)
        return Document((Image(data, target=False),))


class QuestionSource(FolderSource):
    """Pictures with a question and its answer: [Image, "question: ... answer:", " ...\\n"].

    Several questions or answers take turns, and so do ``templates`` of the prompt; scoring reads
    the first answer.
    """

    def __init__(self, *table: Any, templates: Sequence[str] = (TEMPLATE,), **more: Any) -> None:
        super().__init__(*table, **more)
        self._templates = templates
        self.varied |= len(templates) > 1

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its questions and answers."""
        data, questions, answers = self._row(index)
        question, answer = questions[turn % len(questions)], answers[turn % len(answers)]
        template = self._templates[(turn + index) % len(self._templates)]
        return Document((Image(data, target=False), *question_spans(question, answer, template)))

    def answers(self, index: int) -> tuple[tuple[str, ...]]:
        """Returns all answers to the only question of a document."""
        return (self._row(index)[2],)

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
        return self.variant(index, 0)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms."""
        return self._source.variant(int(self._indices[index]), turn)

    def answers(self, index: int) -> tuple[tuple[str, ...], ...]:
        """Returns all answers to each question of a document."""
        return self._source.answers(int(self._indices[index]))

    def cluster_of(self, index: int) -> int:
        """Returns the identity that documents of one group, picture or text share."""
        return int(self._clusters[index])
