"""The kind ``vqa``: questions about pictures."""

from __future__ import annotations

from typing import Any, Literal

from chiasm.data.columns import Columns, PictureTableSettings
from chiasm.data.folders import FolderSource, QuestionSource
from chiasm.data.opened import open_table
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.table import Table


@SOURCES.register
class QuestionSettings(PictureTableSettings):
    """A question about a picture, and its answer."""

    kind: Literal["vqa"] = "vqa"
    question_column: str = "question"
    """Column with the question."""
    answer_column: str = "answer"
    """Column with the answer."""

    @property
    def example(self) -> dict[str, str]:
        """A question and its answer."""
        return {self.question_column: "is it a barn?", self.answer_column: "yes"}

    def words(self, columns: Columns, table: Table) -> tuple[str, ...]:
        """Returns the columns of questions and of answers."""
        question = columns.named(table, "question_column", self.question_column)
        return question, columns.named(table, "answer_column", self.answer_column)

    def source_of(
        self, name: str, table: Table, columns: Columns, row_positions: int, **own: Any
    ) -> FolderSource:
        """Returns picture, question and answer of each row."""
        words = self.words(columns, table)
        return QuestionSource(name, table, columns.image(table), *words, **own)

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides."""
        return open_table(name, self, opening)

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; a folder of pictures will do where no words are read."""
        return open_table(name, self, opening, pictures_alone=not captioned)
