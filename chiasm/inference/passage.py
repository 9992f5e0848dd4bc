"""Passages: consecutive positions of one document, before they have a place in a row.

Everything that the sampler feeds to the decoder is a passage: a prompt, one token, an item of a
stream. :mod:`chiasm.batch.layout` has the rule of attention, the same one as in training.

Shape suffixes: T positions of a passage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.batch.streams import Streams
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Span


@dataclass(frozen=True)
class Passage:
    """T consecutive positions of one document."""

    ids: Sequence[int]
    """T token ids; the stream's fill mark at latent tokens."""
    items: tuple[tuple[str, int], ...] = ()
    """Stream of each item, and the position in the passage of its first latent token."""

    def __len__(self) -> int:
        return len(self.ids)


def prompt_passage(spans: Sequence[Span], tokenizer: TextTokenizer, streams: Streams) -> Passage:
    """Returns ``<bod>`` and the spans, laid out as the beginning of a training document.

    Raises:
        UserError: there is no stream that reads one of them.
    """
    encode = DocumentEncoder(tokenizer, streams, sequence_length=sys.maxsize)
    piece = encode(Document(tuple(spans)))[0]
    begins = [tokenizer.marks[shape.marks].begin for shape in streams]
    starts = np.flatnonzero(np.isin(piece.ids, begins)) + 1
    names = [streams.names[number] for number in piece.items[:, 1]]
    items = tuple(zip(names, starts.tolist(), strict=True))
    return Passage(piece.ids[:-1].tolist(), items)  # all but <eod>: the document goes on
