"""The kind ``audio_text``: documents from the rows of users' tables of sounds."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from chiasm.data.asking import Asking, hearing, sounding
from chiasm.data.columns import MediumSettings, Reader
from chiasm.data.media import AUDIO, Medium
from chiasm.data.sounds import PROMPTS, AudioTextSource, Cut, SoundSource
from chiasm.data.source import SOURCES, Opened, Opening


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
    example: ClassVar[tuple[str, ...]] = ("a dog barks",)

    @property
    def has_pictures(self) -> bool:
        """False: sounds and words."""
        return False

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How sounds are made and put into words."""
        heard, written = PROMPTS[self.task]
        return sounding(f"{heard}: {self.example[0]}"), hearing(f"{written}:")

    def check(self) -> None:
        """Refuses a missing path, and a number of items without their length.

        Raises:
            UserError: one of them.
        """
        super().check()
        if self.most_clips is not None and not self.clip_seconds:
            raise self.error("most_clips", "counts items of clip_seconds = 0", "set clip_seconds")

    def reader(self, sequence_length: int, *, alone: bool) -> Reader:
        """Returns what makes documents of rows, or of sounds alone."""
        cut = Cut(self.clip_seconds, self.most_clips)
        if alone:
            return partial(SoundSource, cut=cut)
        return partial(AudioTextSource, cut=cut, prompts=PROMPTS[self.task])

    def open_sounds(self, name: str, opening: Opening) -> Opened:
        """Returns both sides for the training of a tokenizer; sounds alone are enough."""
        return self.open(name, opening, alone=True)
