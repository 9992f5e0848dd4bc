"""Passages: consecutive positions of one document, before they have a place in a row.

Everything that the sampler feeds to the decoder is a passage: a prompt, one token, an item of a
stream. :mod:`chiasm.batch.layout` has the rule of attention, the same one as in training.

Shape suffixes: T positions of a passage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chiasm.batch.items import ItemReader
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Span


class PlacedItem(NamedTuple):
    """An item of a passage."""

    stream: str
    start: int
    """Position in the passage of its first latent token."""
    grid: tuple[int, ...]
    """Latent tokens along each of its axes."""


@dataclass(frozen=True)
class Passage:
    """T consecutive positions of one document."""

    ids: Sequence[int]
    """T token ids; the stream's fill mark at latent tokens."""
    items: tuple[PlacedItem, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def prompt_passage(spans: Sequence[Span], tokenizer: TextTokenizer, reader: ItemReader) -> Passage:
    """Returns ``<bod>`` and the spans, laid out as the beginning of a training document.

    Raises:
        UserError: there is no stream that reads one of them.
    """
    encode, streams = DocumentEncoder(tokenizer, reader, sys.maxsize), reader.streams
    piece = encode(Document(tuple(spans)))[0]
    begins = [tokenizer.marks[shape.marks].begin for shape in streams]
    starts = np.flatnonzero(np.isin(piece.ids, begins)) + 1
    names = [streams.names[number] for number in piece.items[:, 1]]
    items = tuple(map(PlacedItem, names, starts.tolist(), piece.grids))
    return Passage(piece.ids[:-1].tolist(), items)  # all but <eod>: the document goes on
