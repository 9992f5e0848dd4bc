"""The kind ``audio_text``: documents from the rows of users' tables of sounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from chiasm.data.columns import TableSettings, holds_files, text_column
from chiasm.data.folders import FolderSource
from chiasm.data.picture_folder import is_picture
from chiasm.data.sounds import PROMPTS, AudioTextSource, Cut, SoundSource
from chiasm.data.source import SOURCES, Opened, Opening, SourceFacts
from chiasm.data.table import Table
from chiasm.data.tables import choose_column

_AUDIO = (
    *("audio", "file_name", "wav", "flac", "mp3", "ogg", "opus", "m4a", "sound", "speech"),
    *("audio_path", "filename", "file", "path"),
)


@SOURCES.register
class AudioTextSettings(TableSettings):
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

    held_out_by: ClassVar[str] = "sounds"
    media: ClassVar[str] = "audio"

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

    def audio(self, table: Table) -> str:
        """Returns the column of sounds; of usual names preferably one whose files exist.

        Raises:
            UserError: there is none.
        """
        usual = tuple(name for name in _AUDIO if name in table.columns)
        found = tuple(name for name in usual if holds_files(table, name))
        return choose_column(table, "audio_column", self.audio_column, found or usual or _AUDIO)

    def words(self, table: Table) -> tuple[str, ...]:
        """Returns the column of words."""
        return (text_column(table, self.text_column),)

    def source_of(
        self, name: str, table: Table, *, sequence_length: int, alone: bool, **own: Any
    ) -> FolderSource:
        """Returns the documents of a table's rows."""
        cut = Cut(self.clip_seconds, self.most_clips)
        audio = self.audio(table)
        if alone:
            return SoundSource(name, table, audio, cut=cut, **own)
        self._refuse_sounds_alone(table)
        prompts = PROMPTS[self.task]
        return AudioTextSource(
            name, table, audio, *self.words(table), cut=cut, prompts=prompts, **own
        )

    def open_sounds(self, name: str, opening: Opening) -> Opened:
        """Returns both sides for the training of a tokenizer; sounds alone are enough."""
        return self.open(name, opening, alone=True)

    def _facts(self, source: FolderSource, table: Table, root: Path, *, alone: bool) -> SourceFacts:
        facts = super()._facts(source, table, root, alone=alone)
        assert isinstance(source, SoundSource)
        told = (
            f"{source.seconds / 3600:.3g} hours of sound, the longest "
            f"{source.longest_seconds:.3g} seconds"
        )
        return replace(facts, audio_column=self.audio(table), notes=(told, *facts.notes))

    def _shows_pictures(self, table: Table) -> bool:
        """Returns False for a usual name whose cells name files elsewhere."""
        return bool(self.audio_column) or holds_files(table, self.audio(table))

    def _refuse_sounds_alone(self, table: Table) -> None:
        if not table.files or not is_picture(table.files[0], self.media) or self.fits(table):
            return
        line = json.dumps({"file_name": "bark.wav", self.text_column or "text": "a dog barks"})
        raise self.error(
            "path",
            "holds sounds, but no words were found",
            f"write metadata.jsonl in it, with a line for each sound: {line} (texts beside the "
            "sounds, as bark.txt, do as well, and folders called after labels, not after splits)",
        )
