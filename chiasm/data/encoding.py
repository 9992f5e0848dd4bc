"""Document → token numbers: ``<bod> span ... <eod>``, an item as marks around its latent tokens.

A document longer than a row is split between spans into pieces that are documents themselves; an
item of a stream is never cut, and a text longer than a row is cut at the row's length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chiasm.batch.streams import Streams
from chiasm.documents import Continuous, Document, Text
from chiasm.errors import UserError

if TYPE_CHECKING:
    from chiasm.batch.items import ItemReader
    from chiasm.data.tokenizer import TextTokenizer

FRAME_TOKENS = 2
"""Tokens around a document (``<bod>`` and ``<eod>``), and around an item (its marks)."""


def refuse_short_rows(sequence_length: int, streams: Streams) -> None:
    """Raises a UserError if a row is too short for a document of one item, of any stream."""
    largest = max((each.num_tokens for each in streams), default=1)
    smallest = largest + 2 * FRAME_TOKENS
    if sequence_length < smallest:
        raise UserError(
            f"is shorter than one item of {largest} latent tokens between its marks, <bod> and "
            "<eod>",
            setting="stream.sequence_length",
            value=sequence_length,
            remedy=f"give {smallest} or more",
        )


_NO_ITEMS = np.zeros((0, 3), dtype=np.int64)


class Piece(NamedTuple):
    """Token numbers of a document, of a part that fits a row, or of one item or text."""

    ids: np.ndarray
    """int64 [n]: token numbers, of a document from ``<bod>`` to ``<eod>``."""
    items: np.ndarray = _NO_ITEMS
    """int64 [k, 3]: each item's number in its document, the number of the stream that reads it, and
    1 for a target or 0 for context."""
    grids: tuple[tuple[int, ...], ...] = ()
    """Latent tokens along each axis of each item."""
    asked: np.ndarray | None = None
    """bool [n]: tokens of prompts that are not learned; None: there are none."""


class DocumentEncoder:
    """Encodes documents as pieces of at most ``sequence_length`` positions.

    ``reader`` reads their items, and is asked for their grids alone.
    """

    def __init__(self, tokenizer: TextTokenizer, reader: ItemReader, sequence_length: int) -> None:
        self._tokenizer, self._grid, self._streams = tokenizer, reader.grid, reader.streams
        self._capacity = sequence_length - FRAME_TOKENS
        self._bod, self._eod = np.array([tokenizer.bod_id]), np.array([tokenizer.eod_id])
        self._item = cache(self._read)

    def __call__(self, document: Document, *, only_answers: bool = False) -> list[Piece]:
        """Returns the document's pieces: one, unless it is longer than a row.

        ``only_answers``: tokens of prompts are told, since they are not learned.

        Raises:
            UserError: it holds an item of a stream that the run does not have.
        """
        # Adjacent texts are joined before they are encoded, so that a prompt and its answer have
        # the same tokens however the source divided them.
        units = list(self._units(document, joined=True, only_answers=only_answers))
        if sum(len(unit.ids) for unit in units) <= self._capacity:
            return [self._piece(units)]
        return [self._piece(group) for group in self._groups(document, only_answers)]

    def _units(self, document: Document, *, joined: bool, only_answers: bool) -> Iterator[Piece]:
        """Yields the units that are never split: items, and texts up to a row's length."""
        number = 0
        for is_text, run in groupby(document.spans, key=lambda span: isinstance(span, Text)):
            if is_text:
                texts = [span for span in run if isinstance(span, Text)]
                for group in [texts] if joined else [[text] for text in texts]:
                    ids = self._tokenizer.encode_array("".join(each.text for each in group))
                    asked, most = self._asked(group, ids) if only_answers else None, self._capacity
                    for begin in range(0, len(ids), most):
                        part = slice(begin, begin + most)
                        learned = None if asked is None else asked[part]
                        yield Piece(ids[part], asked=learned)
                continue
            for span in run:
                assert isinstance(span, Continuous)
                grid = self._grid(span)
                ids, stream = self._item(span.stream, span.target, math.prod(grid))
                yield Piece(ids, np.array([[number, stream, int(span.target)]]), (grid,))
                number += 1

    def _read(self, stream: str, target: bool, num_tokens: int) -> tuple[np.ndarray, int]:
        """Returns an item's token numbers, and the number of the stream that reads it."""
        shape = self._streams.reading(stream, target)
        begin, end, fill = self._tokenizer.marks[shape.marks]
        return np.array([begin, *[fill] * num_tokens, end]), self._streams.shapes.index(shape)

    def _asked(self, texts: Sequence[Text], ids: np.ndarray) -> np.ndarray | None:
        """Returns which tokens of joined texts are those of prompts: bool [n]; None if none is.

        A token that reaches from one text into the next belongs to the next.
        """
        if not any(text.prompt for text in texts):
            return None
        asked, begin, before = np.zeros(len(ids), bool), 0, ""
        for text in texts:
            before += text.text
            alone = self._tokenizer.encode_array(before)[: len(ids)]
            differing = np.flatnonzero(alone != ids[: len(alone)])
            end = int(differing[0]) if len(differing) else len(alone)
            asked[begin:end] = text.prompt
            begin = end
        return asked

    def _groups(self, document: Document, only_answers: bool) -> Iterator[list[Piece]]:
        group: list[Piece] = []
        filled = 0
        for unit in self._units(document, joined=False, only_answers=only_answers):
            if filled + len(unit.ids) > self._capacity:
                yield group
                group, filled = [], 0
            group.append(unit)
            filled += len(unit.ids)
        yield group

    def _piece(self, units: list[Piece]) -> Piece:
        ids = np.concatenate([self._bod, *(unit.ids for unit in units), self._eod])
        items = np.concatenate([_NO_ITEMS, *(unit.items for unit in units)])
        grids = tuple(grid for unit in units for grid in unit.grids)
        if all(unit.asked is None for unit in units):
            return Piece(ids, items, grids)
        ends = np.zeros(1, bool)
        of_units = (np.zeros(len(u.ids), bool) if u.asked is None else u.asked for u in units)
        return Piece(ids, items, grids, np.concatenate([ends, *of_units, ends]))
