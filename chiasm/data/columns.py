"""Which columns of a table a source reads: those that its settings name, else the usual ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from chiasm.data.cells import picture, texts
from chiasm.data.picture_folder import is_picture
from chiasm.data.source import SourceSettings
from chiasm.data.table import Row, Table
from chiasm.data.tables import choose_column
from chiasm.errors import UserError

_IMAGE = ("image", "file_name", "jpg", "png", "webp", "img", "picture", "path")
_TEXT = ("text", "caption", "txt", "content", "sentence", "description", "label")
_NAMES_OF_LABELS = ("{}_name", "{}_names", "{}_text", "{}_str")
_LOOKED_AT = 16
"""Rows that tell what a column holds."""


@dataclass(frozen=True)
class Columns:
    """The columns of one source."""

    where: str
    """``stream.sources.NAME``, to blame its settings."""
    settings: SourceSettings
    pictures_alone: bool = False
    """No words are read."""

    def are_in(self, table: Table) -> bool:
        """Whether the table has all that the source needs."""
        try:
            if self.settings.kind == "text":
                self.text(table)
                return True
            column = self.image(table)
            if not self.settings.image_column and not self._holds_pictures(table, column):
                return False  # names of files that lie elsewhere, as beside shards
            if self.pictures_alone:
                return True
            if self.settings.kind == "image_text":
                self.text(table)
            else:
                self.named(table, "question")
                self.named(table, "answer")
        except UserError:
            return False
        return True

    def text(self, table: Table) -> str:
        """The column of texts or captions; of numbered labels, that of their names.

        Raises:
            UserError: there is none.
        """
        setting, wanted = f"{self.where}.text_column", self.settings.text_column
        column = choose_column(table, setting, wanted, _TEXT)
        if not wanted and self._holds_numbers(table, column):
            names = (form.format(column) for form in _NAMES_OF_LABELS)
            return next((name for name in names if name in table.columns), column)
        return column

    def image(self, table: Table) -> str:
        """The column of pictures; a usual name counts where pictures are found under it.

        Raises:
            UserError: there is none.
        """
        setting, wanted = f"{self.where}.image_column", self.settings.image_column
        usual = tuple(name for name in _IMAGE if name in table.columns)
        found = tuple(name for name in usual if self._holds_pictures(table, name))
        return choose_column(table, setting, wanted, found or usual or _IMAGE)

    def named(self, table: Table, which: str) -> str:
        """The column of questions or of answers.

        Raises:
            UserError: it is not there.
        """
        setting = f"{which}_column"
        wanted = getattr(self.settings, setting)
        return choose_column(table, f"{self.where}.{setting}", wanted, ())

    def group(self, table: Table) -> str:
        """The column of groups, or nothing.

        Raises:
            UserError: it is not there.
        """
        wanted = self.settings.group_column
        return choose_column(table, f"{self.where}.group_column", wanted, ()) if wanted else ""

    def words(self, table: Table) -> str:
        """All columns of words, as they are told."""
        if self.pictures_alone:
            return ""
        if self.settings.kind == "vqa":
            return f"{self.named(table, 'question')}, {self.named(table, 'answer')}"
        return self.text(table)

    def refuse_pictures_alone(self, table: Table) -> None:
        """Raise where words are needed and a folder has pictures alone.

        Raises:
            UserError: it has; the message says how to write them.
        """
        alone = bool(table.files) and is_picture(table.files[0])
        if self.pictures_alone or not alone or self.are_in(table):
            return
        settings = self.settings
        words = {settings.text_column or "text": "a red barn in the snow"}
        if settings.kind == "vqa":
            words = {settings.question_column: "is it a barn?", settings.answer_column: "yes"}
        line = json.dumps({settings.image_column or "file_name": "barn.jpg", **words})
        raise UserError(
            f"{self.where}.path = {settings.path!r} holds pictures, but no captions were found; "
            f"write metadata.jsonl in it, with a line for each picture: {line} (texts beside the "
            "pictures, as barn.txt, do as well, and folders called after labels, not after splits)"
        )

    def _holds_pictures(self, table: Table, column: str) -> bool:
        for number, row in self._first(table, column):
            folder = table.folder(number)
            try:
                data = picture(row.get(column), folder, column)
            except UserError:
                return True  # told when it is read
            if isinstance(data, bytes):
                return True
            if data is not None:
                name = data.relative_to(folder) if data.is_relative_to(folder) else data
                above = (each / name for each in islice(folder.parents, 8))
                if any(map(os.path.isfile, (data, *above))):
                    return True
        return False

    def _holds_numbers(self, table: Table, column: str) -> bool:
        try:
            found = [
                text
                for _, row in self._first(table, column)
                for text in texts(row.get(column), column)
            ]
        except UserError:
            return False  # told when it is read
        return bool(found) and all(text.strip().isdigit() for text in found)

    def _first(self, table: Table, column: str) -> Iterator[tuple[int, Row]]:
        """The first rows that can be read; why others cannot, is told when all are."""
        for number in range(min(_LOOKED_AT, len(table))):
            with suppress(UserError):
                yield number, table.row(number, column)
