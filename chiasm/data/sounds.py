"""Sources of sounds with words: captions or transcripts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from chiasm.data.folders import FolderSource
from chiasm.data.index import Found
from chiasm.data.media import AUDIO, Medium
from chiasm.data.reading import Unusable
from chiasm.data.survey import file_identity
from chiasm.data.table import Table
from chiasm.documents import Document, Sound, Text
from chiasm.errors import UserError
from chiasm.waveform import RULE, Length, Segment, measured

LEAST_REST_SECONDS = 0.05
"""Of a sound that is cut into items, a shorter rest is left out."""

PROMPTS = {"caption": ("sound", "caption"), "transcript": ("speech", "transcript")}
"""Words before what is to be heard, and before what was heard."""


class Cut(NamedTuple):
    """How sounds become items."""

    seconds: float = 0.0
    """Of an item; 0: a sound is one item."""
    most: int | None = None
    """Items of one sound, from its beginning; None: all."""


WHOLE = Cut()


class SoundSource(FolderSource):
    """Sounds without words: [Sound(context), ...], the items of one row."""

    medium: ClassVar[Medium] = AUDIO

    def __init__(
        self, name: str, table: Table, *columns: str, cut: Cut = WHOLE, **own: Any
    ) -> None:
        self._cut = cut
        self._sizes: list[Length | tuple[int, int, int]] = []
        super().__init__(name, table, *columns, **own)

    def _described(self) -> str:
        return f"{RULE} {Length._fields} {self._cut} {super()._described()}"

    def _surveyed(self) -> Found:
        found = super()._surveyed()
        # Samples of each row's sound, samples per second, channels; 0 where it is unusable.
        size_R3 = np.array(self._sizes, dtype=np.int64).reshape(-1, 3)
        self._sizes.clear()
        return Found(found.facts, {**found.arrays, "sizes": size_R3}, found.looked_at)

    def _take(self, found: Found) -> None:
        super()._take(found)
        self._size_R3 = found.arrays["sizes"]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: how much sound there is, and what one channel hears of several."""
        hours, longest = self.seconds / 3600, self.longest_seconds
        told = f"{hours:.3g} hours of sound, the longest {longest:.3g} seconds"
        several = int((self._size_R3[:, 2] > 1).sum())
        mixed = f"{several:,} of more than one channel: channels = 1 of the stream averages them"
        return (told, *(mixed,) * bool(several))

    @property
    def seconds(self) -> float:
        """Length of all sounds."""
        samples_R, rate_R, _ = self._size_R3.T
        return float((samples_R / np.maximum(rate_R, 1)).sum())

    @property
    def longest_seconds(self) -> float:
        """Length of the longest sound."""
        samples_R, rate_R, _ = self._size_R3.T
        return float((samples_R / np.maximum(rate_R, 1)).max(initial=0.0))

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document, which has one form only."""
        [data] = self._row(index)
        return Document(self._sounds(index, data, target=False))

    def _content(self, number: int) -> tuple[bytes, ...]:
        self._sizes.append((0, 0, 0))
        data, *words = self._row(number)
        self.varied |= any(len(texts) > 1 for texts in words)
        own = file_identity(data, self.medium)
        try:
            self._sizes[-1] = measured(data)
        except UserError as error:
            raise Unusable("sound cannot be read", str(error)) from error
        form = f"{self._cut} rule {RULE}".encode()
        return self._group(number) or own, own, form, *self._said(*words)

    def _sounds(self, row: int, data: Path | bytes, *, target: bool) -> tuple[Sound, ...]:
        """Returns the items of a row's sound, in order."""
        seconds, most = self._cut
        samples, rate, _ = self._size_R3[row].tolist()
        if not seconds:
            return (Sound(data, target),)
        item = round(seconds * rate)
        whole = max(1, math.ceil((samples - LEAST_REST_SECONDS * rate) / item))
        begins = range(0, (whole if most is None else min(whole, most)) * item, item)
        return tuple(
            Sound(Segment(data, begin, min(begin + item, samples)), target) for begin in begins
        )


class AudioTextSource(SoundSource):
    """Sounds and their words, each pair once to write and once to hear.

    Documents 2i and 2i + 1 are row i: [Sound(context), ..., "caption: ..."] and
    ["sound: ...", Sound(target), ...]; with transcripts, "transcript: ..." and "speech: ...".
    Several texts of a sound take turns.
    """

    documents_per_row = 2

    def __init__(self, *given: Any, prompts: tuple[str, str], **own: Any) -> None:
        self._prompts = prompts
        super().__init__(*given, **own)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its texts."""
        data, words = self._row(index // 2)
        text = words[(turn + index) % len(words)]
        heard, written = self._prompts
        if index % 2:
            sounds = self._sounds(index // 2, data, target=True)
            return Document((Text(f"{heard}: {text}"), *sounds))
        sounds = self._sounds(index // 2, data, target=False)
        return Document((*sounds, Text(f"{written}: {text}")))
