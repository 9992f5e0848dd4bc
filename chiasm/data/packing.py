"""A list of documents → one batch, without mixing: for evaluation, tests and prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.batch.items import ItemReader
from chiasm.batch.packed import NOBODY, PackedBatch
from chiasm.data.encoding import DocumentEncoder, Piece, refuse_short_rows
from chiasm.data.rows import Assembler, Row
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document
from chiasm.errors import UserError

Packed = tuple[Piece, Document, int]
"""A piece, the document whose items it holds, and the number of its source."""


def pack_documents(
    documents: Sequence[Document],
    tokenizer: TextTokenizer,
    reader: ItemReader,
    sequence_length: int,
    *,
    source_numbers: Sequence[int] | None = None,
    source_names: tuple[str, ...] = ("documents",),
) -> PackedBatch:
    """Returns documents packed by first fit into rows of ``sequence_length``, as one batch.

    Each document goes into the first row with room, in the order given; the same documents give
    the same batch. No condition is dropped; rows are numbered from 0 in lane 0.
    ``source_numbers`` are each document's source, as indices of ``source_names``; by default all
    are 0. A document longer than a row is split as in the stream.

    Raises:
        UserError: no documents, a row shorter than an item, or an item that cannot be read.
    """
    if not documents:
        raise UserError("there are no documents to pack")
    refuse_short_rows(sequence_length, reader.streams)
    encode = DocumentEncoder(tokenizer, reader, sequence_length)
    numbers = [0] * len(documents) if source_numbers is None else source_numbers
    pieces = [
        (piece, document, number)
        for document, number in zip(documents, numbers, strict=True)
        for piece in encode(document)
    ]
    places = first_fit([len(piece.ids) for piece, _, _ in pieces], sequence_length)
    content: list[list[Packed]] = [[] for _ in range(max(places) + 1)]
    for place, piece in zip(places, pieces, strict=True):
        content[place].append(piece)
    return pack_pieces(content, tokenizer, reader, sequence_length, source_names)


def pack_pieces(
    content: Sequence[list[Packed]],
    tokenizer: TextTokenizer,
    reader: ItemReader,
    sequence_length: int,
    source_names: tuple[str, ...] = ("documents",),
) -> PackedBatch:
    """Returns rows whose pieces are given, as one batch; no condition is dropped."""
    rows = [_row(packed, sequence_length, reader, number) for number, packed in enumerate(content)]
    return Assembler(tokenizer, reader.streams, source_names, condition_dropout=0.0, seed=0)(rows)


def first_fit(lengths: Sequence[int], capacity: int) -> list[int]:
    """Returns the row of each length: the first with room for it."""
    free = [capacity] * len(lengths)
    places = []
    for length in lengths:
        places.append(next(row for row, room in enumerate(free) if room >= length))
        free[places[-1]] -= length
    return places


def _row(packed: list[Packed], sequence_length: int, reader: ItemReader, number: int) -> Row:
    lengths = [len(piece.ids) for piece, _, _ in packed]
    padding = np.zeros(sequence_length - sum(lengths), int)
    items = [list(document.items)[at] for piece, document, _ in packed for at in piece.items[:, 0]]
    table_I3 = np.concatenate([piece.items for piece, _, _ in packed])
    return Row(
        ids_T=np.concatenate([*(piece.ids for piece, _, _ in packed), padding]),
        document_T=np.append(
            np.repeat(np.arange(len(packed)), lengths), np.full_like(padding, NOBODY)
        ),
        position_T=np.concatenate([*map(np.arange, lengths), padding]),
        source_S=np.array([source for _, _, source in packed]),
        stream_I=table_I3[:, 1],
        target_I=table_I3[:, 2].astype(bool),
        grids=tuple(grid for piece, _, _ in packed for grid in piece.grids),
        contents=tuple(map(reader.read, items)),
        lane=0,
        number=number,
    )
