"""What the documents of a source hold: counts of documents, positions, pictures and bytes of text.

Shape suffixes: I pictures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.batch.items import ItemReader
from chiasm.batch.streams import Streams
from chiasm.data.encoding import FRAME_TOKENS, DocumentEncoder, Piece
from chiasm.data.reading import UNDECODED, UNREAD_ITEM, examined
from chiasm.documents import Document, Image, Source
from chiasm.errors import UserError

TEXT = "text"
QUANTILES = {"smallest": 0.0, "5 %": 0.05, "half": 0.5, "95 %": 0.95, "largest": 1.0}
_TOLD = 20
"""Unusable documents that are told with their reasons in full."""


@dataclass(frozen=True)
class Census:
    """What was found in the documents of one side of a source that were read."""

    documents: int
    """Those that were read, unusable ones included."""
    positions: dict[str, int]
    """Positions of rows by stream, with their marks; the rest is of text."""
    items: dict[str, int]
    """Items by stream."""
    text_bytes: int
    """Bytes of text in UTF-8."""
    pieces: int
    """Parts that go into rows: more than documents where some are longer than a row."""
    rejects: dict[str, int]
    """Unusable documents by reason."""
    told: tuple[str, ...]
    """The first unusable documents, with their reasons in full."""
    sizes_I2: np.ndarray
    """int64: height and width in pixels of pictures, as they are decoded."""

    def shown_sizes(self) -> dict[str, tuple[int, int, float]]:
        """Returns quantiles of the shorter side, the longer side and megapixels, by their names."""
        if not len(self.sizes_I2):
            return {}
        sides_I2 = np.sort(self.sizes_I2, axis=1)
        values_I3 = np.column_stack([sides_I2, sides_I2.prod(1) / 1e6])
        found = np.quantile(values_I3, [*QUANTILES.values()], axis=0, method="nearest")
        return {
            name: (int(short), int(long), round(float(megapixels), 3))
            for name, (short, long, megapixels) in zip(QUANTILES, found, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Returns all numbers, without the size of each picture."""
        counts = {name: value for name, value in vars(self).items() if name != "sizes_I2"}
        return {**counts, "pictures": len(self.sizes_I2), "sizes": self.shown_sizes()}


def take_census(
    source: Source,
    numbers: Iterable[int],
    encoder: DocumentEncoder,
    streams: Streams,
    seen: Callable[[int, Document], None] = lambda number, document: None,
    reader: ItemReader | None = None,
) -> Census:
    """Returns what these documents hold; every picture is decoded, and other items are read.

    Args:
        source: source of the documents.
        numbers: their numbers.
        encoder: encodes documents as a run does.
        streams: those of the run.
        seen: is called with each document that can be used.
        reader: of items that are no pictures; None: they are not looked at.

    Raises:
        UserError: a file with many documents is gone, or the source fails unexpectedly.
    """
    positions, items, rejects = Counter[str](), Counter[str](), Counter[str]()
    documents = text_bytes = pieces = 0
    told: list[str] = []
    sizes: list[tuple[int, ...]] = []
    for number in numbers:
        documents += 1
        document, reason, why = examined(source, number, pictures=False)
        own: list[tuple[int, ...]] = []
        for item in document.items if document else ():
            try:
                if isinstance(item, Image):
                    own.append(item.pixels().shape[:2])
                elif reader is not None:
                    reader.read(item)
            except UserError as error:
                reason = UNDECODED if isinstance(item, Image) else UNREAD_ITEM
                why = str(error)
                break
        if document is None or reason:
            rejects[reason] += 1
            if len(told) < _TOLD:
                told.append(f"{source.name}[{number}]: {why}")
            continue
        text_bytes += len(document.text.encode(errors="replace"))
        sizes += own
        for piece in encoder(document):
            pieces += 1
            of_items = _positions_of_items(piece, streams)
            positions += of_items
            positions[TEXT] += len(piece.ids) - of_items.total()
            items.update(streams.shapes[number].name for number in piece.items[:, 1].tolist())
        seen(number, document)
    return Census(
        documents,
        dict(positions),
        dict(items),
        text_bytes,
        pieces,
        dict(rejects),
        tuple(told),
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
    )


def _positions_of_items(piece: Piece, streams: Streams) -> Counter[str]:
    found = Counter[str]()
    for number, grid in zip(piece.items[:, 1].tolist(), piece.grids, strict=True):
        found[streams.shapes[number].name] += math.prod(grid) + FRAME_TOKENS
    return found
