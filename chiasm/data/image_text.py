"""The kind ``image_text``: pictures and the words that go with them."""

from __future__ import annotations

from typing import Any, Literal

from chiasm.data.columns import Columns, PictureTableSettings
from chiasm.data.folders import FolderSource, ImageTextSource
from chiasm.data.opened import open_table
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.table import Table


@SOURCES.register
class ImageTextSettings(PictureTableSettings):
    """Pictures with captions, each row in both directions."""

    kind: Literal["image_text"] = "image_text"
    text_column: str = ""
    """Column with the caption; empty: the first with a usual name."""

    @property
    def example(self) -> dict[str, str]:
        """A caption."""
        return {self.text_column or "text": "a red barn in the snow"}

    def words(self, columns: Columns, table: Table) -> tuple[str, ...]:
        """Returns the column of captions."""
        return (columns.text(table, self.text_column),)

    def source_of(
        self, name: str, table: Table, columns: Columns, row_positions: int, **own: Any
    ) -> FolderSource:
        """Returns picture and caption of each row."""
        words = self.words(columns, table)
        return ImageTextSource(name, table, columns.image(table), *words, **own)

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides."""
        return open_table(name, self, opening)

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; a folder of pictures will do where no words are read."""
        return open_table(name, self, opening, pictures_alone=not captioned)
