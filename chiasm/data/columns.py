"""The columns of a table that a source reads: those named in its settings, else usual names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from chiasm.data.cells import picture, texts
from chiasm.data.files import shown_name
from chiasm.data.folders import FolderSource, PictureSource
from chiasm.data.opened import both_sides
from chiasm.data.picture_folder import is_picture
from chiasm.data.source import FileSettings, Opened, Opening, SourceFacts
from chiasm.data.table import Row, Table
from chiasm.data.tables import choose_column, open_tables
from chiasm.errors import UserError

_IMAGE = ("image", "file_name", "jpg", "png", "webp", "img", "picture", "path")
_TEXT = ("text", "caption", "txt", "content", "sentence", "description", "label")
_NAMES_OF_LABELS = ("{}_name", "{}_names", "{}_text", "{}_str")
_LOOKED_AT = 16
"""First rows by which the content of a column is judged."""


class TableSettings(FileSettings):
    """The base of kinds whose documents are the rows of users' tables.

    Where ``alone`` is true, pictures are read and no words.
    """

    group_column: str = ""
    """Column with what rows belong to (an original of many copies, a speaker, a scene): a group is
    held out as a whole, and is one cluster of standard errors; empty: the picture, or the text."""

    shares: ClassVar[tuple[str, ...]] = ("group_column",)
    media: ClassVar[str] = "image"
    """Which files are rows by themselves: image or video."""

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the columns of words.

        Raises:
            UserError: one is not there.
        """
        raise NotImplementedError

    def image(self, table: Table) -> str:
        """Returns the column of pictures; empty where rows have none.

        Raises:
            UserError: one is needed and is not there.
        """
        return ""

    def group(self, table: Table) -> str:
        """Returns the column of groups, or an empty name.

        Raises:
            UserError: it is not there.
        """
        return self.group_column and choose_column(table, "group_column", self.group_column)

    def fits(self, table: Table, *, alone: bool = False) -> bool:
        """Returns whether a table has all needed columns; ``alone``: no words are needed."""
        try:
            return self._shows_pictures(table) and (alone or bool(self.words(table)))
        except UserError:
            return False

    def source_of(
        self, name: str, table: Table, *, sequence_length: int, alone: bool, **own: Any
    ) -> FolderSource:
        """Returns the source of a table's rows; ``own`` are arguments common to all such sources.

        Raises:
            UserError: a column is missing or cannot be used.
        """
        raise NotImplementedError

    def open(self, name: str, opening: Opening, *, alone: bool = False) -> Opened:
        """Returns both sides."""
        tables = open_tables(
            self.path,
            partial(self.fits, alone=alone),
            held_out_path=self.held_out_path,
            texts=not self.has_pictures,
            media=self.media,
        )

        def read(table: Table) -> tuple[FolderSource, SourceFacts]:
            own = {"root": tables.root, "group_column": self.group(table)}
            positions = opening.sequence_length
            try:
                source = self.source_of(name, table, sequence_length=positions, alone=alone, **own)
            except UserError as error:
                if error.setting:
                    raise
                raise UserError(f": {error}", setting="path", value=self.path) from error
            source.survey.refuse_absurd()
            return source, self._facts(source, table, tables.root, alone=alone)

        return both_sides(tables, read, self.held_out_fraction)

    def _facts(self, source: FolderSource, table: Table, root: Path, *, alone: bool) -> SourceFacts:
        return SourceFacts(
            kind=self.kind,
            rows=len(table),
            documents=0,
            held_out=0,
            files=tuple(shown_name(file, root) for file in table.files),
            column="" if alone else ", ".join(self.words(table)),
            image_column=self.image(table),
            skipped=source.survey.skipped,
            notes=("the column 'split' is not read",) if "split" in table.columns else (),
            fingerprint=source.survey.fingerprint,
        )

    def _shows_pictures(self, table: Table) -> bool:
        return True


class PictureTableSettings(TableSettings):
    """The base of those whose rows have a picture."""

    image_column: str = ""
    """Column with pictures (paths, bytes or files); empty: the first with a usual name."""

    held_out_by: ClassVar[str] = "pictures"
    source: ClassVar[type[FolderSource]]
    """Class of the source; its arguments are the column of pictures, then those of words."""

    @property
    def example(self) -> dict[str, str]:
        """Words of an example row, for the message about missing ones."""
        raise NotImplementedError

    def image(self, table: Table) -> str:
        """Returns the column of pictures; of usual names preferably one whose pictures exist.

        Raises:
            UserError: there is none.
        """
        usual = tuple(name for name in _IMAGE if name in table.columns)
        found = tuple(name for name in usual if holds_files(table, name))
        return choose_column(table, "image_column", self.image_column, found or usual or _IMAGE)

    def source_of(
        self, name: str, table: Table, *, sequence_length: int, alone: bool, **own: Any
    ) -> FolderSource:
        """Returns the documents of a table's rows."""
        if alone:
            return PictureSource(name, table, self.image(table), **own)
        self.refuse_pictures_alone(table)
        return self.source(name, table, self.image(table), *self.words(table), **own)

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; without ``captioned``, a folder of pictures alone is enough."""
        return self.open(name, opening, alone=not captioned)

    def refuse_pictures_alone(self, table: Table) -> None:
        """Raises a UserError where words are needed and a folder has pictures alone.

        Raises:
            UserError: there are no words; the message shows how to write them.
        """
        if not table.files or not is_picture(table.files[0]) or self.fits(table):
            return
        line = json.dumps({self.image_column or "file_name": "barn.jpg", **self.example})
        raise self.error(
            "path",
            "holds pictures, but no captions were found",
            f"write metadata.jsonl in it, with a line for each picture: {line} (texts beside the "
            "pictures, as barn.txt, do as well, and folders called after labels, not after splits)",
        )

    def _shows_pictures(self, table: Table) -> bool:
        """Returns False for a usual name whose cells name files elsewhere, as beside shards."""
        column = self.image(table)
        return bool(self.image_column) or holds_files(table, column)


def text_column(table: Table, wanted: str) -> str:
    """Returns the column of texts or captions; for numbered labels, the column of their names.

    Raises:
        UserError: there is none.
    """
    column = choose_column(table, "text_column", wanted, _TEXT)
    if not wanted and _holds_numbers(table, column):
        names = (form.format(column) for form in _NAMES_OF_LABELS)
        return next((name for name in names if name in table.columns), column)
    return column


def holds_files(table: Table, column: str) -> bool:
    """Returns whether any of the first cells of a column is a file, or holds bytes."""
    for number, row in _first(table, column):
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


def _holds_numbers(table: Table, column: str) -> bool:
    try:
        found = [
            text for _, row in _first(table, column) for text in texts(row.get(column), column)
        ]
    except UserError:
        return False  # told when it is read
    return bool(found) and all(text.strip().isdigit() for text in found)


def _first(table: Table, column: str) -> Iterator[tuple[int, Row]]:
    """Yields the readable ones of the first rows; the survey of all rows reports others."""
    for number in range(min(_LOOKED_AT, len(table))):
        with suppress(UserError):
            yield number, table.row(number, column)
