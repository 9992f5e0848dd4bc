"""Settings of the stream of packed batches and of its text tokenizer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

import chiasm.data.sources  # noqa: F401  (registers the kinds that read users' files)
from chiasm.data.source import SOURCES, SourceSettings
from chiasm.settings import Settings


class TextTokenizerSettings(Settings):
    """Which text tokenizer a run uses."""

    path: str = ""
    """A folder or file of a Hugging Face tokenizer, or its hub name; empty: train one here."""
    vocabulary_tokens: int = 2048
    """Size of the vocabulary trained here, special tokens included."""


class StreamSettings(Settings):
    """What the model reads, in which shares and rows."""

    sources: dict[str, Annotated[SourceSettings, SOURCES]]
    """Named sources and their weights by positions."""
    sequence_length: int = Field(512, gt=0)
    """T: positions of a packed row; a longer document is split between its spans."""
    batch_size: int = Field(2, gt=0)
    """B: rows of one global batch."""
    lanes: int = Field(2, gt=0)
    """L: independent packers; the number of ranks must divide it. Another number of lanes is
    another order of the data."""
    rows_packed_together: int = Field(32, gt=0)
    """Rows that a packer keeps open at once; more leave less padding and cost memory."""
    condition_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of targets that see nothing before the mark that opens them, for guidance."""
