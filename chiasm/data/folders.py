"""Sources from users' own files: plain texts, picture and text, question and answer.

Documents name their task in words as those of the embedded world do. A share of each source is
held out by a hash of the picture's file (or of the text), so that no picture and no text is on
both sides, however often it occurs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm.documents import Document, Image, Text, question_spans
from chiasm.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_TAIL_BYTES = 4096


class TextSource:
    """Texts, long ones cut at paragraphs into documents of bounded length."""

    def __init__(self, name: str, table: Dataset, column: str, characters: int) -> None:
        self.name = name
        try:
            self._texts = table.map(
                _cut_rows,
                batched=True,
                batch_size=16,
                remove_columns=table.column_names,
                fn_kwargs={"column": column, "characters": characters},
            )
        except OSError as error:
            raise UserError(
                f"source {name!r} cannot be prepared ({error}); make room on the disk, or set "
                "HF_DATASETS_CACHE to a folder that has it"
            ) from error

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> Document:
        return Document((Text(self._texts[index]["text"]),))

    def held_out_draw(self) -> np.ndarray:
        """float64 [len]: a number in [0, 1) for each document, the same for the same words."""
        return np.array([hash_draw(" ".join(row["text"].split()).encode()) for row in self._texts])


class ImageTextSource:
    """Pictures and their texts, each pair once as a caption and once as a picture to draw.

    Documents 2i and 2i + 1 are row i: [Image(context), "caption: ..."] and
    ["picture: ...", Image(target)].
    """

    def __init__(
        self, name: str, table: Dataset, image_column: str, text_column: str, folder: Path
    ) -> None:
        self.name = name
        self._table = table.select_columns([image_column, text_column])
        self._image_column = image_column
        self._text = _words(table, text_column)
        self._folder = folder

    def __len__(self) -> int:
        return 2 * len(self._table)

    def __getitem__(self, index: int) -> Document:
        row = self._table[index // 2]
        text = self._text(row)
        data = _picture(row[self._image_column], self._folder)
        if not text or data is None:
            return Document(())
        if index % 2:
            return Document((Text(f"picture: {text}"), Image(data, target=True)))
        return Document((Image(data, target=False), Text(f"caption: {text}")))

    def held_out_draw(self) -> np.ndarray:
        """float64 [len]: a number in [0, 1) for each document, the same for the same picture."""
        return np.repeat(_picture_draws(self._table, self._image_column, self._folder), 2)


class PictureSource:
    """Pictures alone, one a document, whatever texts stand beside them."""

    def __init__(self, name: str, table: Dataset, image_column: str, folder: Path) -> None:
        self.name = name
        self._table = table.select_columns([image_column])
        self._image_column = image_column
        self._folder = folder

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Document:
        data = _picture(self._table[index][self._image_column], self._folder)
        return Document(() if data is None else (Image(data, target=False),))

    def held_out_draw(self) -> np.ndarray:
        """float64 [len]: a number in [0, 1) for each document, the same for the same picture."""
        return _picture_draws(self._table, self._image_column, self._folder)


class QuestionSource:
    """Pictures with a question and its answer:
    [Image(context), "question: ... answer:", " ...\\n"]."""

    def __init__(
        self,
        name: str,
        table: Dataset,
        image_column: str,
        question_column: str,
        answer_column: str,
        folder: Path,
    ) -> None:
        self.name = name
        self._table = table.select_columns([image_column, question_column, answer_column])
        self._image_column = image_column
        self._question = _words(table, question_column)
        self._answer = _words(table, answer_column)
        self._folder = folder

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Document:
        row = self._table[index]
        question, answer = self._question(row), self._answer(row)
        data = _picture(row[self._image_column], self._folder)
        if not question or not answer or data is None:
            return Document(())
        return Document((Image(data, target=False), *question_spans(question, answer)))

    def held_out_draw(self) -> np.ndarray:
        """float64 [len]: a number in [0, 1) for each document, the same for the same picture."""
        return _picture_draws(self._table, self._image_column, self._folder)


FolderSource = TextSource | ImageTextSource | PictureSource | QuestionSource


class Selection:
    """Some of a source's documents, in the source's order."""

    def __init__(self, source: FolderSource, indices: np.ndarray) -> None:
        self.name = source.name
        self._source = source
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Document:
        return self._source[int(self._indices[index])]


def cut_text(text: str, characters: int) -> Iterator[str]:
    """Cut at the last paragraph, line, sentence or word that ends in the allowed second half.

    Nothing is lost: the parts joined are the text.
    """
    begin = 0
    while len(text) - begin > characters:
        earliest, latest = begin + characters // 2, begin + characters
        ends = (
            text.rfind(mark, earliest, latest) + len(mark) for mark in ("\n\n", "\n", ". ", " ")
        )
        end = next((end for end in ends if end > earliest), latest)
        yield text[begin:end]
        begin = end
    yield text[begin:]


def _cut_rows(rows: dict[str, list], column: str, characters: int) -> dict[str, list[str]]:
    parts = (part for text in rows[column] for part in cut_text(str(text or ""), characters))
    return {"text": [part for part in parts if part.strip()]}


def _words(table: Dataset, column: str) -> Callable[[dict[str, Any]], str]:
    """Reads a column as text; a class label (of a folder of pictures) by its name."""
    label_name = getattr(table.features[column], "int2str", str)

    def words(row: dict[str, Any]) -> str:
        value = row[column]
        return "" if value is None else str(label_name(value)).strip()

    return words


def _picture(value: Any, folder: Path) -> Path | bytes | None:
    """What a column of paths, of bytes, or of the datasets library's pictures holds."""
    if isinstance(value, dict):
        value = value["bytes"] or value["path"]
    return folder / value if isinstance(value, str) else value


def _picture_draws(table: Dataset, column: str, folder: Path) -> np.ndarray:
    pictures = table.select_columns([column])
    return np.array([hash_draw(_identity(_picture(row[column], folder))) for row in pictures])


def _identity(data: Path | bytes | None) -> bytes:
    """Length and last bytes: equal for equal files, and cheap for large ones.

    The first bytes would not do: pictures of one camera or editor share a long header.
    """
    if data is None:
        return b""
    if isinstance(data, bytes):
        return len(data).to_bytes(8, "little") + data[-_TAIL_BYTES:]
    try:
        with data.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return size.to_bytes(8, "little") + file.read()
    except OSError:  # reported when the document is read
        return str(data).encode()


def hash_draw(identity: bytes) -> float:
    """A number in [0, 1) that is the same for the same bytes, in every process."""
    digest = hashlib.sha256(identity).digest()
    return int.from_bytes(digest[:6], "little") / 2**48
