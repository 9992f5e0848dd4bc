"""The kind ``audio_text``: documents from the rows of users' tables of sounds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from chiasm.data.columns import MediumSettings, text_column
from chiasm.data.folders import FolderSource
from chiasm.data.media import AUDIO, Medium
from chiasm.data.media_files import MediaFiles
from chiasm.data.sounds import PROMPTS, AudioTextSource, Cut, SoundSource
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.table import Table


@SOURCES.register
class AudioTextSettings(MediumSettings):
    """Sounds with captions or transcripts, each row in both directions."""

    kind: Literal["audio_text"] = "audio_text"
    audio_column: str = ""
    """Column with sounds (paths, bytes or files); empty: the first with a usual name."""
    text_column: str = ""
    """Column with the words; empty: the first with a usual name."""
    task: Literal["caption", "transcript"] = "caption"
    """What the words are, which documents tell: ``caption:`` and ``sound:`` stand before captions,
    ``transcript:`` and ``speech:`` before what is said."""
    clip_seconds: float = Field(0.0, ge=0)
    """A longer sound becomes several items of so many seconds, one after another: give the stream's
    ``seconds``. 0: every sound is one item."""
    most_clips: int | None = Field(None, ge=1)
    """Items of one sound, from its beginning; without it, all."""

    medium: ClassVar[Medium] = AUDIO
    held_out_by: ClassVar[str] = "sounds"

    @property
    def has_pictures(self) -> bool:
        """False: sounds and words."""
        return False

    def check(self) -> None:
        """Refuses a missing path, and a number of items without their length.

        Raises:
            UserError: one of them.
        """
        super().check()
        if self.most_clips is not None and not self.clip_seconds:
            raise self.error("most_clips", "counts items of clip_seconds = 0", "set clip_seconds")

    @property
    def example(self) -> dict[str, str]:
        """An example caption."""
        return {self.text_column or "text": "a dog barks"}

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of words."""
        return (text_column(table, self.text_column),)

    def source_of(
        self,
        name: str,
        table: Table,
        files: MediaFiles,
        *,
        sequence_length: int,
        alone: bool,
        **own: Any,
    ) -> FolderSource:
        """Returns the documents of a table's rows."""
        cut = Cut(self.clip_seconds, self.most_clips)
        audio = self.files_column(table, files)
        own |= {"files": files}
        if alone:
            return SoundSource(name, table, audio, cut=cut, **own)
        self.refuse_files_alone(table, files)
        prompts = PROMPTS[self.task]
        return AudioTextSource(
            name, table, audio, *self.words(table), cut=cut, prompts=prompts, **own
        )

    def open_sounds(self, name: str, opening: Opening) -> Opened:
        """Returns both sides for the training of a tokenizer; sounds alone are enough."""
        return self.open(name, opening, alone=True)
