"""The columns of a table that a source reads: those named in its settings, else usual names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from chiasm.data.cells import file_or_bytes, texts
from chiasm.data.files import shown_names
from chiasm.data.folders import FolderSource, PictureSource
from chiasm.data.media import IMAGE, Medium
from chiasm.data.media_files import MediaFiles
from chiasm.data.opened import both_sides
from chiasm.data.source import FileSettings, Opened, Opening, SourceFacts
from chiasm.data.table import Row, Table, cells
from chiasm.data.tables import Tables, choose_column, open_tables
from chiasm.errors import UserError
from chiasm.rgb import opened

_TEXT = (
    *("text", "caption", "txt", "content", "sentence", "transcription", "transcript"),
    *("description", "label"),
)
_NAMES_OF_LABELS = ("{}_name", "{}_names", "{}_text", "{}_str")
_LOOKED_AT = 16
"""First rows by which the content of a column is judged."""

Reader = Callable[..., FolderSource]
"""What makes a source of its name, a table and the columns that are read of it."""


class TableSettings(FileSettings):
    """The base of kinds whose documents are the rows of users' tables.

    Where ``alone`` is true, files of the medium are read and no words.
    """

    group_column: str = ""
    """Column with what rows belong to (an original of many copies, a speaker, a scene): a group is
    held out as a whole, and is one cluster of standard errors; empty: the file, or the text."""

    shares: ClassVar[tuple[str, ...]] = ("group_column",)
    medium: ClassVar[Medium | None] = None
    """What rows hold beside words, or are by themselves."""
    word_columns: ClassVar[tuple[str, ...]] = ("text_column",)
    """Settings that name the columns of words."""

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the columns of words.

        Raises:
            UserError: one is not there.
        """
        return tuple(_word_column(table, name, getattr(self, name)) for name in self.word_columns)

    def columns(self, table: Table, files: MediaFiles, *, alone: bool) -> tuple[str, ...]:
        """Returns the columns that are read, that of the files first.

        Raises:
            UserError: one is not there.
        """
        return self.words(table)

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes documents of those columns; ``sequence_length``: positions of a row.

        The source that it makes may raise a UserError: a column cannot be used.
        """
        raise NotImplementedError

    def group(self, table: Table) -> str:
        """Returns the column of groups, or an empty name.

        Raises:
            UserError: it is not there.
        """
        return self.group_column and choose_column(table, "group_column", self.group_column)

    def fits(self, table: Table, files: MediaFiles, *, alone: bool = False) -> bool:
        """Returns whether a table has all needed columns; ``alone``: no words are needed."""
        try:
            return self._has_files(table, files) and (alone or bool(self.words(table)))
        except UserError:
            return False

    def open(self, name: str, opening: Opening, *, alone: bool = False) -> Opened:
        """Returns both sides."""
        tables = open_tables(
            self.path,
            partial(self.fits, alone=alone),
            held_out_path=self.held_out_path,
            medium=self.medium,
            index=opening.index,
        )

        make = self.reader(opening.sequence_length, alone=alone)

        def read(table: Table) -> tuple[FolderSource, SourceFacts]:
            own = {"group_column": self.group(table), "files": tables.files}
            try:
                columns = self.columns(table, tables.files, alone=alone)
                source = make(name, table, *columns, index=opening.index, **own)
            except UserError as error:
                if error.setting:
                    raise
                raise UserError(f": {error}", setting="path", value=self.path) from error
            source.survey.refuse_absurd()
            return source, self._facts(source, table, tables, alone=alone)

        return both_sides(tables, read, self.held_out_fraction)

    def _facts(
        self, source: FolderSource, table: Table, tables: Tables, *, alone: bool
    ) -> SourceFacts:
        unread = ("the column 'split' is not read",) if "split" in table.columns else ()
        return SourceFacts(
            kind=self.kind,
            rows=len(table),
            documents=0,
            held_out=0,
            files=tuple(shown_names(table.files, tables.root)),
            column="" if alone else ", ".join(self.words(table)),
            skipped=source.survey.skipped,
            unusable=source.survey.unusable,
            notes=(*source.notes, *unread),
            fingerprint=source.survey.fingerprint,
        )

    def _has_files(self, table: Table, files: MediaFiles) -> bool:
        return True


class MediumSettings(TableSettings):
    """The base of those whose rows have a picture, a video or a sound.

    The setting with its column is called after the medium: ``image_column``.
    """

    medium: ClassVar[Medium]
    example: ClassVar[tuple[str, ...]]
    """Words of a row, one for each of ``word_columns``, for the message about missing ones."""
    otherwise: ClassVar[str] = ""
    """What else may help then, as the end of a sentence."""

    @property
    def wanted_column(self) -> str:
        """The column of files that the settings name, or an empty name."""
        return str(getattr(self, f"{self.medium.column}_column"))

    def files_column(self, table: Table, files: MediaFiles) -> str:
        """Returns the column of files; of usual names preferably one whose files exist.

        Raises:
            UserError: there is none.
        """
        wanted = self.wanted_column
        usual = () if wanted else tuple(n for n in self.medium.usual if n in table.columns)
        found = tuple(name for name in usual if _holds_files(table, name, files))
        usual = found or usual or self._unusual(table) or self.medium.usual
        return choose_column(table, f"{self.medium.column}_column", wanted, usual)

    def columns(self, table: Table, files: MediaFiles, *, alone: bool) -> tuple[str, ...]:
        """Returns the column of files, then those of words.

        Raises:
            UserError: one is not there.
        """
        if not alone:
            self._refuse_files_alone(table, files)
        return self.files_column(table, files), *(() if alone else self.words(table))

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; without ``captioned``, files alone are enough."""
        if self.has_pictures and not captioned:
            return self.open(name, opening, alone=True)
        return super().open_pictures(name, opening, side=side, captioned=captioned)

    def _refuse_files_alone(self, table: Table, files: MediaFiles) -> None:
        """Raises a UserError where words are needed and a folder has files of the medium alone."""
        if not table.files or not self.medium.is_of(table.files[0]):
            return
        if self.fits(table, files):
            return
        file, noun, nouns = self.medium.example, self.medium.noun, self.medium.nouns
        names = (getattr(self, name) or "text" for name in self.word_columns)
        words = dict(zip(names, self.example, strict=True))
        line = json.dumps({self.wanted_column or "file_name": file, **words})
        raise self.error(
            "path",
            f"holds {nouns}, but no captions were found",
            f"write metadata.jsonl in it, with a line for each {noun}: {line} (texts beside the "
            f"{nouns}, as {Path(file).stem}.txt, do as well, and folders called after labels, not "
            f"after splits){self.otherwise}",
        )

    def _unusual(self, table: Table) -> tuple[str, ...]:
        """Returns a column that is known by what its cells hold, where none has a usual name."""
        return ()

    def _facts(
        self, source: FolderSource, table: Table, tables: Tables, *, alone: bool
    ) -> SourceFacts:
        facts = super()._facts(source, table, tables, alone=alone)
        return facts.with_files(self.medium, self.files_column(table, tables.files))

    def _has_files(self, table: Table, files: MediaFiles) -> bool:
        """Returns False for a usual name whose cells name files elsewhere, as beside shards."""
        column = self.files_column(table, files)
        return bool(self.wanted_column) or _holds_files(table, column, files)


class PictureTableSettings(MediumSettings):
    """The base of those whose rows have a picture."""

    image_column: str = ""
    """Column with pictures (paths, bytes or files); empty: the first with a usual name."""
    known_by: Literal["content", "name"] = "content"
    """What tells rows apart. ``name``, for sources too large to be read before training: their
    names decide what is held out, and no row is read when the source is opened."""

    medium: ClassVar[Medium] = IMAGE
    held_out_by: ClassVar[str] = "pictures"
    shares: ClassVar[tuple[str, ...]] = ("group_column", "known_by")
    source: ClassVar[type[FolderSource]]
    """Class of the source; its arguments are the column of pictures, then those of words."""

    def check(self) -> None:
        """Refuses groups where no row is read.

        Raises:
            UserError: groups are asked for.
        """
        super().check()
        if self.known_by == "name" and self.group_column:
            why = f"is read from rows, which {self.assigned('known_by')} does not"
            raise self.error("group_column", why, "leave one of them out")

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes documents of rows, or of pictures alone."""
        return partial(PictureSource if alone else self.source, by_name=self.known_by == "name")

    def _unusual(self, table: Table) -> tuple[str, ...]:
        """Returns the first column of encoded pictures."""
        return tuple(islice(_encoded(table), 1))


def _word_column(table: Table, setting: str, wanted: str) -> str:
    """Returns the column of words that a setting names; empty: of texts, the first usual one.

    For numbered labels that is the column of their names.

    Raises:
        UserError: there is none.
    """
    column = choose_column(table, setting, wanted, _TEXT if setting == "text_column" else ())
    if not wanted and _holds_numbers(table, column):
        names = (form.format(column) for form in _NAMES_OF_LABELS)
        return next((name for name in names if name in table.columns), column)
    return column


def _holds_files(table: Table, column: str, files: MediaFiles) -> bool:
    """Returns whether any of the first cells of a column is a file, or holds bytes."""
    for number, row in _first(table, column):
        file = table.file(number)
        try:
            data = file_or_bytes(row.get(column), file.parent, column)
        except UserError:
            return True  # told when it is read
        if isinstance(data, bytes):
            return True
        if data is not None and os.path.isfile(files.find(data, file)):
            return True
    return False


def _encoded(table: Table) -> Iterator[str]:
    """Yields the columns whose first cell holds the bytes of a picture."""
    for column in table.columns:
        cells = (row.get(column) for _, row in _first(table, column))
        with suppress(UserError):
            data = next((each for each in cells if each is not None), None)
            data = file_or_bytes(data, Path(), column)
            if isinstance(data, bytes):
                with opened(data):
                    yield column


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
            yield number, cells(table, number, column)
