"""The kinds ``text``, ``image_text``, ``vqa`` and ``interleaved``: rows of users' tables."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from chiasm.data.asking import Asking, answering, captioning, writing
from chiasm.data.columns import PictureTableSettings, Reader, TableSettings
from chiasm.data.folders import FolderSource, ImageTextSource, QuestionSource
from chiasm.data.interleaved import FORMS, InterleavedSource
from chiasm.data.media_files import MediaFiles
from chiasm.data.source import SOURCES
from chiasm.data.table import Table
from chiasm.data.tables import choose_column, shown
from chiasm.data.texts import TextSource
from chiasm.documents import QUESTION, TEMPLATE
from chiasm.errors import UserError, setting

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

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How a text is gone on with."""
        return (writing("The first words of a text"),)

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what cuts texts into documents."""
        characters = self.document_characters or _CHARACTERS_PER_POSITION * sequence_length
        return partial(TextSource, characters=characters)


@SOURCES.register
class ImageTextSettings(PictureTableSettings):
    """Pictures with captions, each row in both directions."""

    kind: Literal["image_text"] = "image_text"
    text_column: str = ""
    """Column with the caption; empty: the first with a usual name."""

    example: ClassVar[tuple[str, ...]] = ("a red barn in the snow",)
    source: ClassVar[type[FolderSource]] = ImageTextSource

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How pictures are drawn and captions written."""
        return captioning(*self.example)


@SOURCES.register
class QuestionSettings(PictureTableSettings):
    """A question about a picture, and its answer."""

    kind: Literal["vqa"] = "vqa"
    question_column: str = "question"
    """Column with the question."""
    answer_column: str = "answer"
    """Column with the answer."""
    templates: tuple[str, ...] = Field((TEMPLATE,), min_length=1)
    """Forms of the prompt, each with ``{question}`` in it, which documents have in turn."""
    loss: Literal["all", "answers"] = "all"
    """Texts that are learned: ``all``, or ``answers`` and their ends alone."""

    word_columns: ClassVar[tuple[str, ...]] = ("question_column", "answer_column")
    example: ClassVar[tuple[str, ...]] = ("is it a barn?", "yes")
    source: ClassVar[type[FolderSource]] = QuestionSource

    @property
    def only_answers(self) -> bool:
        """Whether prompts are not learned."""
        return self.loss == "answers"

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How a question is put."""
        return (answering(self.example[0], self.templates),)

    def check(self) -> None:
        """Refuses a template without a place for the question.

        Raises:
            UserError: one has none.
        """
        super().check()
        for template in self.templates:
            if QUESTION not in template:
                why = f"has {template!r}, in which no question stands"
                raise UserError(why, setting="templates", remedy=f"write {QUESTION} in it")

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes documents of rows, with these prompts."""
        own = super().reader(sequence_length, alone=alone)
        return own if alone else partial(own, templates=self.templates)


@SOURCES.register
class InterleavedSettings(PictureTableSettings):
    """Sentences and pictures in the order of their page."""

    kind: Literal["interleaved"] = "interleaved"
    image_column: str = ""
    """Column with lists of pictures; empty: see ``text_column``."""
    text_column: str = ""
    """Column with lists of texts, as long as those of pictures; empty: the first of
    ``images`` and ``texts``, ``image_info`` and ``text_list``, ``spans`` alone."""

    held_out_by: ClassVar[str] = "interleaved texts"
    source: ClassVar[type[FolderSource]] = InterleavedSource

    def check(self) -> None:
        """Refuses one column without the other.

        Raises:
            UserError: one of them is missing.
        """
        super().check()
        if bool(self.image_column) != bool(self.text_column):
            missing = "text_column" if self.image_column else "image_column"
            why = "is missing beside the other column"
            raise UserError(why, setting=missing, remedy="name both or neither")

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of texts."""
        return self._columns(table)[-1:]

    def files_column(self, table: Table, files: MediaFiles) -> str:
        """Returns the column of pictures, which may be that of texts too.

        Raises:
            UserError: it is not there.
        """
        return self._columns(table)[0]

    def columns(self, table: Table, files: MediaFiles, *, alone: bool) -> tuple[str, ...]:
        """Returns the columns of pictures and of texts, or the one that holds both."""
        return self._columns(table)

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes documents of rows, always with their words."""
        return super().reader(sequence_length, alone=False)

    def _has_files(self, table: Table, files: MediaFiles) -> bool:
        return bool(self._columns(table))

    def _columns(self, table: Table) -> tuple[str, ...]:
        if self.image_column:
            return (
                choose_column(table, "image_column", self.image_column),
                choose_column(table, "text_column", self.text_column),
            )
        for form in FORMS:
            if {*form} <= {*table.columns}:
                return form
        usual = "; ".join(" and ".join(form) for form in FORMS)
        raise self.error(
            "text_column",
            f"is not set, and no columns have usual names ({usual})",
            f"name it and {setting('image_column')}: there are {shown(table.columns)}",
        )
