"""Sounds to learn from, decoded once and held in memory.

Shape suffixes: M sounds, B of them, A channels, T samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.data.reading import ReadingLog
from chiasm.documents import Document, Sound, Source
from chiasm.errors import UserError
from chiasm.sound.tokenizer import SoundEncoder


@dataclass(frozen=True)
class Sounds:
    """M items of sound."""

    samples_MAT: np.ndarray
    words: tuple[str, ...]
    """The words of each item's document; empty where it has none."""
    data: str
    """Names the data for the record."""
    content: str
    """Hash of the samples."""
    unreadable: tuple[str, ...] = ()
    """Message on each sound that is left out."""

    def __len__(self) -> int:
        return len(self.samples_MAT)

    def batch(self, numbers: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Returns these sounds as float32 [B, A, T]."""
        return torch.from_numpy(self.samples_MAT[numbers]).to(device)

    def batches(self, most: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """Yields all sounds in order, at most ``most`` at once."""
        for first in range(0, len(self), most):
            yield self.batch(np.arange(first, min(first + most, len(self))), device)


def sounds_of_source(source: Source, encoder: SoundEncoder, *, data: str) -> Sounds:
    """Returns all items of a source's context sounds, each once.

    Raises:
        UserError: there is none that can be read.
    """
    samples: dict[bytes, np.ndarray] = {}
    words: list[str] = []
    unreadable: list[str] = []
    log = ReadingLog()
    for _, document in log.documents(source, range(len(source)), pictures=False):
        for sound in _heard(document):
            try:
                item = encoder.read(sound.data).numpy()
            except UserError as error:
                unreadable.append(str(error))
                continue
            key = hashlib.sha256(item.tobytes()).digest()
            if key not in samples:
                samples[key] = item
                words.append(document.text.partition(":")[2].strip())
    unreadable += map(str, log.passed_over().values())
    if not samples:
        because = f" ({len(unreadable)} cannot be read: {unreadable[0]})" if unreadable else ""
        raise UserError(f"the source {source.name!r} ({data}) has no sound{because}; give some")
    content = hashlib.sha256(b"".join(samples)).hexdigest()
    kept = np.stack(list(samples.values()))
    return Sounds(kept, tuple(words), data, content, tuple(unreadable))


def _heard(document: Document) -> Iterator[Sound]:
    return (item for item in document.items if isinstance(item, Sound) and not item.target)
