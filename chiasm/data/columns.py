"""Which columns of a table a source reads: those that its settings name, else the usual ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from chiasm.data.cells import picture, texts
from chiasm.data.folders import FolderSource
from chiasm.data.picture_folder import is_picture
from chiasm.data.source import FileSettings
from chiasm.data.table import Row, Table
from chiasm.data.tables import choose_column
from chiasm.errors import UserError

_IMAGE = ("image", "file_name", "jpg", "png", "webp", "img", "picture", "path")
_TEXT = ("text", "caption", "txt", "content", "sentence", "description", "label")
_NAMES_OF_LABELS = ("{}_name", "{}_names", "{}_text", "{}_str")
_LOOKED_AT = 16
"""Rows that tell what a column holds."""


class TableSettings(FileSettings):
    """The base of kinds whose documents are the rows of users' tables."""

    group_column: str = ""
    """Column with what rows belong to (an original of many copies, a speaker, a scene): a group is
    held out as a whole, and is one cluster of standard errors; empty: the picture, or the text."""

    shares: ClassVar[tuple[str, ...]] = ("group_column",)

    def words(self, columns: Columns, table: Table) -> tuple[str, ...]:
        """Returns the columns of words.

        Raises:
            UserError: one is not there.
        """
        raise NotImplementedError

    def source_of(
        self, name: str, table: Table, columns: Columns, row_positions: int, **own: Any
    ) -> FolderSource:
        """Returns the documents of a table's rows; ``own`` is what every such source is given."""
        raise NotImplementedError


class PictureTableSettings(TableSettings):
    """The base of those whose rows have a picture."""

    image_column: str = ""
    """Column with pictures (paths, bytes or files); empty: the first with a usual name."""

    held_out_by: ClassVar[str] = "pictures"

    @property
    def example(self) -> dict[str, str]:
        """The words of a row, for a message that asks for some."""
        raise NotImplementedError


@dataclass(frozen=True)
class Columns:
    """The columns of one source."""

    where: str
    """``stream.sources.NAME``, to blame its settings."""
    settings: TableSettings
    pictures_alone: bool = False
    """No words are read."""

    def are_in(self, table: Table) -> bool:
        """Whether the table has all that the source needs."""
        settings = self.settings
        try:
            if isinstance(settings, PictureTableSettings):
                column = self.image(table)
                if not settings.image_column and not self._holds_pictures(table, column):
                    return False  # names of files that lie elsewhere, as beside shards
            if not self.pictures_alone:
                settings.words(self, table)
        except UserError:
            return False
        return True

    def text(self, table: Table, wanted: str) -> str:
        """The column of texts or captions; of numbered labels, that of their names.

        Raises:
            UserError: there is none.
        """
        column = choose_column(table, f"{self.where}.text_column", wanted, _TEXT)
        if not wanted and self._holds_numbers(table, column):
            names = (form.format(column) for form in _NAMES_OF_LABELS)
            return next((name for name in names if name in table.columns), column)
        return column

    def image(self, table: Table) -> str:
        """The column of pictures, empty where rows have none; a usual name counts where pictures
        are found under it.

        Raises:
            UserError: there is none.
        """
        if not isinstance(self.settings, PictureTableSettings):
            return ""
        setting, wanted = f"{self.where}.image_column", self.settings.image_column
        usual = tuple(name for name in _IMAGE if name in table.columns)
        found = tuple(name for name in usual if self._holds_pictures(table, name))
        return choose_column(table, setting, wanted, found or usual or _IMAGE)

    def named(self, table: Table, setting: str, wanted: str) -> str:
        """The column that a setting names.

        Raises:
            UserError: it is not there.
        """
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
        return "" if self.pictures_alone else ", ".join(self.settings.words(self, table))

    def refuse_pictures_alone(self, table: Table) -> None:
        """Raise where words are needed and a folder has pictures alone.

        Raises:
            UserError: it has; the message says how to write them.
        """
        settings = self.settings
        alone = bool(table.files) and is_picture(table.files[0]) and not self.pictures_alone
        if not isinstance(settings, PictureTableSettings) or not alone or self.are_in(table):
            return
        line = json.dumps({settings.image_column or "file_name": "barn.jpg", **settings.example})
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
