"""Packed rows of integers and pictures → :class:`PackedBatch`.

All tables are computed for whole batches in numpy. Shape suffixes: B rows, T positions, N images,
M of them that play one part, P latent tokens of one image, I images of one row, S documents of one
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import (
    NO_LABEL,
    NOBODY,
    AnyShape,
    ImageSlots,
    Modality,
    PackedBatch,
)
from chiasm.data.tokenizer import TextTokenizer

_CONDITION_DROP = 1
"""Purpose in the seed sequence (seed, lane, row number, purpose) of a row's dropped conditions."""


@dataclass(frozen=True)
class Row:
    """One packed row; its documents are numbered 0, 1, ... from left to right."""

    ids_T: np.ndarray
    """int64 [T]: token numbers; anything at padding."""
    document_T: np.ndarray
    """int64 [T]: the position's document, NOBODY at padding."""
    position_T: np.ndarray
    """int64 [T]: counted from the start of the document."""
    source_S: np.ndarray
    """int64 [S]: each document's source number."""
    target_I: np.ndarray
    """bool [I]: target or context, for the images from left to right."""
    pictures: tuple[Tensor, ...]
    """I pictures, uint8 [3, H, W], or their raw latents, float [P, C]."""
    lane: int
    number: int


@dataclass(frozen=True)
class Assembler:
    """Builds batches from rows: intervals, labels, image slots and dropped conditions."""

    tokenizer: TextTokenizer
    image_shape: AnyShape
    source_names: tuple[str, ...]
    condition_drop: float
    seed: int

    def __call__(self, rows: Sequence[Row]) -> PackedBatch:
        """A batch of the rows, in their order."""
        document_BT = np.stack([row.document_T for row in rows])
        padding_BT = document_BT == NOBODY
        ids_BT = np.where(padding_BT, self.tokenizer.pad_id, np.stack([row.ids_T for row in rows]))
        vision_BT = ids_BT == self.tokenizer.image_id
        modality_BT = np.where(vision_BT, Modality.VISION, Modality.TEXT)
        modality_BT[padding_BT] = Modality.PADDING
        position_BT = np.where(padding_BT, 0, np.stack([row.position_T for row in rows]))
        query_BT = np.broadcast_to(np.arange(ids_BT.shape[1]), ids_BT.shape)
        first_BT, last_BT = query_BT - position_BT, query_BT.copy()

        row_N, boi_N = np.nonzero(ids_BT == self.tokenizer.boi_id)
        dropped_N = self._dropped(rows)
        target_N = np.concatenate([row.target_I for row in rows])
        for target in (True, False):  # images of one part have one number P of tokens
            P = self.image_shape.of(target).num_tokens
            row_M, boi_M = row_N[target_N == target], boi_N[target_N == target]
            image_MP = boi_M[:, None] + 1 + np.arange(P)
            last_BT[row_M[:, None], image_MP] = boi_M[:, None] + P
            if target:
                row_M, boi_M = row_N[dropped_N], boi_N[dropped_N]  # none of them is context
                blind_MP = boi_M[:, None] + np.arange(P + 1)  # its <boi> loses sight as well
                first_BT[row_M[:, None], blind_MP] = boi_M[:, None]

        tables = {
            "ids_BT": ids_BT,
            "label_BT": _labels(ids_BT, modality_BT, document_BT),
            "modality_BT": modality_BT,
            "position_BT": position_BT,
            "first_BT": first_BT,
            "last_BT": last_BT,
            "document_BT": document_BT,
            "source_BT": _sources(rows, document_BT),
        }
        source_N = tables["source_BT"][row_N, boi_N]
        return PackedBatch(
            **{name: torch.from_numpy(table.astype(np.int64)) for name, table in tables.items()},
            images=self._slots(rows, row_N, boi_N + 1, target_N, dropped_N, source_N),
            lane_B=torch.tensor([row.lane for row in rows]),
            number_B=torch.tensor([row.number for row in rows]),
            source_names=self.source_names,
        )

    def _slots(
        self,
        rows: Sequence[Row],
        row_N: np.ndarray,
        start_N: np.ndarray,
        target_N: np.ndarray,
        dropped_N: np.ndarray,
        source_N: np.ndarray,
    ) -> ImageSlots:
        shapes = [self.image_shape.of(bool(target)) for target in target_N]
        grids = [(shape.rows, shape.columns) for shape in shapes]
        pictures = tuple(picture for row in rows for picture in row.pictures)
        return ImageSlots(
            row_N=torch.from_numpy(row_N.astype(np.int64)),
            start_N=torch.from_numpy(start_N.astype(np.int64)),
            grid_N2=torch.tensor(grids, dtype=torch.int64).reshape(-1, 2),
            target_N=torch.from_numpy(target_N),
            dropped_N=torch.from_numpy(dropped_N),
            source_N=torch.from_numpy(source_N.astype(np.int64)),
            pixels=tuple(each for each in pictures if not each.is_floating_point()),
            raw_GC=_read_latents(pictures, target_N),
            raw_UA=_read_latents(pictures, ~target_N),
        )

    def _dropped(self, rows: Sequence[Row]) -> np.ndarray:
        """bool [N]: a target's draw depends on its row and its place among the row's images."""
        dropped = []
        for row in rows:
            key = [self.seed, row.lane, row.number, _CONDITION_DROP]
            draw_I = np.random.default_rng(key).random(len(row.target_I))
            dropped.append(row.target_I & (draw_I < self.condition_drop))
        return np.concatenate(dropped)


def _read_latents(pictures: Sequence[Tensor], playing_N: np.ndarray) -> Tensor | None:
    """[G, C] or [U, A]: latents of the images that play one part; None where there are none.

    The parts stay apart, since two tokenizers need not have the same number of channels.
    """
    parts = zip(pictures, playing_N, strict=True)
    raw = [each for each, plays in parts if plays and each.is_floating_point()]
    return torch.cat(raw) if raw else None


def _labels(ids_BT: np.ndarray, modality_BT: np.ndarray, document_BT: np.ndarray) -> np.ndarray:
    """Text predicts the text that follows it in its document; so ``<boi>`` is predicted too."""
    text_BT = modality_BT == Modality.TEXT
    follows = text_BT[:, :-1] & text_BT[:, 1:] & (document_BT[:, :-1] == document_BT[:, 1:])
    label_BT = np.full_like(ids_BT, NO_LABEL)
    label_BT[:, :-1] = np.where(follows, ids_BT[:, 1:], NO_LABEL)
    return label_BT


def _sources(rows: Sequence[Row], document_BT: np.ndarray) -> np.ndarray:
    # A document number of NOBODY = -1 picks the last entry: padding.
    return np.stack(
        [
            np.append(row.source_S, NOBODY)[document_T]
            for row, document_T in zip(rows, document_BT, strict=True)
        ]
    )
