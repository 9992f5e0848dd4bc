"""The kind ``text``: texts of users' files, long ones cut."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from chiasm.data.columns import Columns, TableSettings
from chiasm.data.folders import FolderSource, TextSource
from chiasm.data.opened import open_table
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.table import Table
from chiasm.errors import UserError

_CHARACTERS_PER_POSITION = 2


@SOURCES.register
class TextSettings(TableSettings):
    """Texts: each file, or each row of a table."""

    kind: Literal["text"] = "text"
    text_column: str = ""
    """Column with the text; empty: the first with a usual name."""
    document_characters: int = Field(0, ge=0)
    """Longer texts are cut at paragraphs or lines; 0: twice the positions of a row."""

    held_out_by: ClassVar[str] = "texts"
    shares: ClassVar[tuple[str, ...]] = ("group_column", "document_characters")

    @property
    def has_pictures(self) -> bool:
        """None."""
        return False

    def words(self, columns: Columns, table: Table) -> tuple[str, ...]:
        """Returns the column of texts."""
        return (columns.text(table, self.text_column),)

    def source_of(
        self, name: str, table: Table, columns: Columns, row_positions: int, **own: Any
    ) -> FolderSource:
        """Returns the texts of a table, cut."""
        characters = self.document_characters or _CHARACTERS_PER_POSITION * row_positions
        [column] = self.words(columns, table)
        return TextSource(name, table, column, characters, **own)

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides."""
        return open_table(name, self, opening)

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Refuses: texts have no pictures."""
        raise UserError("has no pictures", setting="kind", value=self.kind, remedy="name another")
