"""A given list of documents → one batch, without mixing: for evaluation, tests and prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.batch.packed import NOBODY, AnyShape, PackedBatch, smallest_and_largest
from chiasm.data.encoding import FRAME_TOKENS, DocumentEncoder, Piece
from chiasm.data.pictures import decode_picture
from chiasm.data.rows import Assembler, Row
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document
from chiasm.errors import UserError


def smallest_row_positions(image_shape: AnyShape) -> int:
    """A row holds at least one image, its ``<boi>`` and ``<eoi>``, and ``<bod>`` and ``<eod>``."""
    return smallest_and_largest(image_shape)[1] + 2 * FRAME_TOKENS


def refuse_short_rows(row_positions: int, image_shape: AnyShape) -> None:
    """Raise a UserError when a row could not hold one image as a document."""
    smallest = smallest_row_positions(image_shape)
    if row_positions < smallest:
        raise UserError(
            f"stream.row_positions = {row_positions} is shorter than one image of "
            f"{smallest - 2 * FRAME_TOKENS} latent tokens between <boi> and <eoi>, <bod> and "
            f"<eod>; give {smallest} or more"
        )


def pack_documents(
    documents: Sequence[Document],
    tokenizer: TextTokenizer,
    image_shape: AnyShape,
    row_positions: int,
    *,
    source_numbers: Sequence[int] | None = None,
    source_names: tuple[str, ...] = ("documents",),
) -> PackedBatch:
    """Pack documents into as few rows of ``row_positions`` as first-fit finds.

    Each document goes into the first row with room, in the order given; the same documents give
    the same batch. No condition is dropped; rows are numbered from 0 in lane 0.
    ``source_numbers`` (into ``source_names``) tells each document's source; all are the first
    without it. A document longer than a row is split as in the stream.

    Raises:
        UserError: no documents, a row shorter than an image, or a picture that cannot be decoded.
    """
    if not documents:
        raise UserError("there are no documents to pack")
    refuse_short_rows(row_positions, image_shape)
    encode = DocumentEncoder(tokenizer, image_shape, row_positions)
    numbers = [0] * len(documents) if source_numbers is None else source_numbers
    pieces = [
        (piece, document, number)
        for document, number in zip(documents, numbers, strict=True)
        for piece in encode(document)
    ]
    places = first_fit([len(piece.ids) for piece, _, _ in pieces], row_positions)
    content: list[list[tuple[Piece, Document, int]]] = [[] for _ in range(max(places) + 1)]
    for place, piece in zip(places, pieces, strict=True):
        content[place].append(piece)
    rows = [
        _row(packed, row_positions, image_shape, number) for number, packed in enumerate(content)
    ]
    return Assembler(tokenizer, image_shape, source_names, condition_drop=0.0, seed=0)(rows)


def first_fit(lengths: Sequence[int], capacity: int) -> list[int]:
    """The row of each length: the first with room for it, or a new one."""
    filled: list[int] = []
    places = []
    for length in lengths:
        place = next(
            (row for row, used in enumerate(filled) if used + length <= capacity), len(filled)
        )
        if place == len(filled):
            filled.append(0)
        filled[place] += length
        places.append(place)
    return places


def _row(
    packed: list[tuple[Piece, Document, int]],
    row_positions: int,
    image_shape: AnyShape,
    number: int,
) -> Row:
    lengths = [len(piece.ids) for piece, _, _ in packed]
    padding = row_positions - sum(lengths)
    images = [
        (image, bool(target))
        for piece, document, _ in packed
        for image, target in _images(piece, document)
    ]
    return Row(
        ids_T=np.concatenate([*(piece.ids for piece, _, _ in packed), np.zeros(padding, int)]),
        document_T=np.concatenate(
            [np.repeat(np.arange(len(packed)), lengths), np.full(padding, NOBODY)]
        ),
        position_T=np.concatenate([*map(np.arange, lengths), np.zeros(padding, int)]),
        source_S=np.array([source for _, _, source in packed]),
        target_I=np.array([target for _, target in images], dtype=bool),
        pictures=tuple(decode_picture(image, image_shape) for image, _ in images),
        lane=0,
        number=number,
    )


def _images(piece: Piece, document: Document) -> list:
    images = list(document.images)
    return [(images[number], target) for number, target in piece.images]
