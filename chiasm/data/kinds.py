"""The kinds ``text``, ``image_text`` and ``vqa``: documents from the rows of users' tables."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from chiasm.data.columns import PictureTableSettings, TableSettings, text_column
from chiasm.data.folders import FolderSource, ImageTextSource, QuestionSource, TextSource
from chiasm.data.picture_files import PictureFiles
from chiasm.data.source import SOURCES
from chiasm.data.table import Table
from chiasm.data.tables import choose_column

_CHARACTERS_PER_POSITION = 2


@SOURCES.register
class TextSettings(TableSettings):
    """Texts: each file, or each row of a table; long ones are cut."""

    kind: Literal["text"] = "text"
    text_column: str = ""
    """Column with the text; empty: the first with a usual name."""
    document_characters: int = Field(0, ge=0)
    """Longer texts are cut at paragraphs or lines; 0: twice the positions of a row."""

    held_out_by: ClassVar[str] = "texts"
    shares: ClassVar[tuple[str, ...]] = ("group_column", "document_characters")

    @property
    def has_pictures(self) -> bool:
        """False: texts alone."""
        return False

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of texts."""
        return (text_column(table, self.text_column),)

    def source_of(
        self,
        name: str,
        table: Table,
        pictures: PictureFiles,
        *,
        sequence_length: int,
        alone: bool,
        **own: Any,
    ) -> FolderSource:
        """Returns the texts of a table, cut into documents."""
        characters = self.document_characters or _CHARACTERS_PER_POSITION * sequence_length
        [column] = self.words(table)
        return TextSource(name, table, column, characters, **own)


@SOURCES.register
class ImageTextSettings(PictureTableSettings):
    """Pictures with captions, each row in both directions."""

    kind: Literal["image_text"] = "image_text"
    text_column: str = ""
    """Column with the caption; empty: the first with a usual name."""

    source: ClassVar[type[FolderSource]] = ImageTextSource

    @property
    def example(self) -> dict[str, str]:
        """An example caption."""
        return {self.text_column or "text": "a red barn in the snow"}

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of captions."""
        return (text_column(table, self.text_column),)


@SOURCES.register
class QuestionSettings(PictureTableSettings):
    """A question about a picture, and its answer."""

    kind: Literal["vqa"] = "vqa"
    question_column: str = "question"
    """Column with the question."""
    answer_column: str = "answer"
    """Column with the answer."""

    source: ClassVar[type[FolderSource]] = QuestionSource

    @property
    def example(self) -> dict[str, str]:
        """An example question and its answer."""
        return {self.question_column: "is it a barn?", self.answer_column: "yes"}

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the columns of questions and of answers."""
        question = choose_column(table, "question_column", self.question_column)
        return question, choose_column(table, "answer_column", self.answer_column)
