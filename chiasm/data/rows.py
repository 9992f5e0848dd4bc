"""Packed rows of integers and items → :class:`PackedBatch`.

All tables are computed for whole batches in numpy. Shape suffixes: B rows, T positions, N items of
the batch, I items of one row, S documents of one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch

from chiasm.batch.items import Content
from chiasm.batch.layout import lay_out
from chiasm.batch.packed import NO_LABEL, NOBODY, PackedBatch
from chiasm.batch.slots import Slots
from chiasm.batch.streams import TEXT, Streams
from chiasm.data.tokenizer import TextTokenizer

_CONDITION_DROP = 1
"""Purpose in the seed sequence (seed, lane, row number, purpose) of a row's dropped conditions."""


@dataclass(frozen=True)
class Row:
    """One packed row; its documents are numbered 0, 1, ... from left to right."""

    ids_T: np.ndarray
    """int64 [T]: token numbers; arbitrary at padding."""
    document_T: np.ndarray
    """int64 [T]: document of each position, NOBODY at padding."""
    position_T: np.ndarray
    """int64 [T]: position counted from the start of the document."""
    source_S: np.ndarray
    """int64 [S]: source number of each document."""
    stream_I: np.ndarray
    """int64 [I]: stream number of each item from left to right."""
    target_I: np.ndarray
    """bool [I]: whether each item is a target, else context."""
    grids: tuple[tuple[int, ...], ...]
    """Latent tokens along each axis of each of the I items."""
    contents: tuple[Content, ...]
    """The I items themselves."""
    lane: int
    number: int
    asked_T: np.ndarray | None = None
    """bool [T]: tokens of prompts that are not learned; None: there are none."""


@dataclass(frozen=True)
class Assembler:
    """Builds batches from rows: attention intervals, labels, slots of items, dropped conditions."""

    tokenizer: TextTokenizer
    streams: Streams
    source_names: tuple[str, ...]
    condition_dropout: float
    seed: int

    def __call__(self, rows: Sequence[Row]) -> PackedBatch:
        """Returns a batch of the rows, in their order."""
        document_BT = np.stack([row.document_T for row in rows])
        filled_BT = document_BT != NOBODY
        ids_BT = np.where(filled_BT, np.stack([row.ids_T for row in rows]), self.tokenizer.pad_id)
        position_BT = np.where(filled_BT, np.stack([row.position_T for row in rows]), 0)
        # Looks up the source of each position's document; padding has the document number
        # NOBODY = -1 and so picks the appended entry.
        source_BT = np.stack([np.append(row.source_S, NOBODY)[row.document_T] for row in rows])
        # Slots come first: which positions attend to which, and which are text, follow from where
        # the items are and which of them are targets with or without a condition.
        slots = self._slots(rows, ids_BT, source_BT)
        layout = lay_out(filled_BT, position_BT, slots, self.streams)
        tables = {
            "ids_BT": ids_BT,
            "label_BT": _labels(ids_BT, layout.modality_BT, document_BT, rows),
            "position_BT": position_BT,
            "document_BT": document_BT,
            "source_BT": source_BT,
            **layout._asdict(),
        }
        return PackedBatch(
            **{name: torch.from_numpy(table.astype(np.int64)) for name, table in tables.items()},
            slots=slots,
            streams=self.streams,
            lane_B=torch.tensor([row.lane for row in rows]),
            number_B=torch.tensor([row.number for row in rows]),
            source_names=self.source_names,
        )

    def _slots(
        self, rows: Sequence[Row], ids_BT: np.ndarray, source_BT: np.ndarray
    ) -> Mapping[str, Slots]:
        """Returns the slots of each stream's items; every begin mark in a row opens an item."""
        begins = {self.tokenizer.marks[shape.marks].begin for shape in self.streams}
        opens_BT = np.zeros(ids_BT.shape, bool)
        for begin in begins:
            opens_BT |= ids_BT == begin
        # `nonzero` goes row by row from left to right, which is the order of the rows' items: so
        # the places found here and the items' own arrays belong together by number.
        row_N, open_N = np.nonzero(opens_BT)
        stream_N = np.concatenate([row.stream_I for row in rows])
        target_N = np.concatenate([row.target_I for row in rows])
        source_N = source_BT[row_N, open_N]
        told = (row_N, open_N + 1, target_N, self._dropped(rows), source_N)
        contents = [content for row in rows for content in row.contents]
        grids = [grid for row in rows for grid in row.grids]
        slots = {}
        for number, shape in enumerate(self.streams):
            own_N = stream_N == number
            held, own = list(compress(contents, own_N)), [each[own_N] for each in told]
            on = list(compress(grids, own_N))
            slots[shape.name] = Slots.of(shape, ids_BT.shape[1], held, on, *own)
        return slots

    def _dropped(self, rows: Sequence[Row]) -> np.ndarray:
        """Returns whether each item's condition is dropped: bool [N].

        A draw depends on the row and the place among its items alone, not on the batch or the rank.
        """
        dropped = []
        for row in rows:
            dropped_I = row.target_I
            if dropped_I.any():  # a generator takes longer to make than all else of a row
                key = [self.seed, row.lane, row.number, _CONDITION_DROP]
                draw_I = np.random.default_rng(key).random(len(dropped_I))
                dropped_I = dropped_I & (draw_I < self.condition_dropout)
            dropped.append(dropped_I)
        return np.concatenate(dropped)


def _labels(
    ids_BT: np.ndarray, modality_BT: np.ndarray, document_BT: np.ndarray, rows: Sequence[Row]
) -> np.ndarray:
    """Returns next-token labels, int64 [B, T], where both tokens are text of one document.

    The mark that opens an item counts as text, and so it is predicted too; what a row tells to be
    asked is not.
    """
    text_BT = modality_BT == TEXT
    follows = text_BT[:, :-1] & text_BT[:, 1:] & (document_BT[:, :-1] == document_BT[:, 1:])
    label_BT = np.full_like(ids_BT, NO_LABEL)
    label_BT[:, :-1] = np.where(follows, ids_BT[:, 1:], NO_LABEL)
    for number, row in enumerate(rows):
        if row.asked_T is not None:
            label_BT[number, :-1][row.asked_T[1:]] = NO_LABEL
    return label_BT
