"""What every stream of data produces and every model consumes.

A :class:`PackedBatch` holds B rows of T positions. Whole documents lie one after another in a row;
an item of a stream of continuous data is a run of positions between the marks that open and close
it. :mod:`chiasm.batch.layout` says what a query may see.

Shape suffixes: B rows, T positions of a row, R positions that predict a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chiasm.batch.slots import Slots, moved
from chiasm.batch.streams import PADDING, TEXT, Streams

NO_LABEL = -100
"""Label of a position that predicts no token (torch's own convention)."""

NOBODY = -1
"""Document and source number of a padding position."""


@dataclass(frozen=True)
class PackedBatch:
    """B packed rows of T positions; see the module's docstring for what a query may see."""

    ids_BT: Tensor
    """int64: token numbers; a stream's own at latent tokens, padding's at padding."""
    label_BT: Tensor
    """int64: the token that this position predicts, NO_LABEL where it predicts none."""
    modality_BT: Tensor
    """int64: the modality of each position, as ``streams`` numbers them."""
    position_BT: Tensor
    """int64: rotary position, counted from the start of the document."""
    first_BT: Tensor
    """int64: first key that the query may see."""
    last_BT: Tensor
    """int64: last key that the query may see."""
    document_BT: Tensor
    """int64: number of the document inside its row, NOBODY at padding."""
    source_BT: Tensor
    """int64: number of the source (into ``source_names``), NOBODY at padding."""
    slots: Mapping[str, Slots]
    """The items of each stream of the run."""
    streams: Streams
    lane_B: Tensor
    """int64 [B]: the lane that packed the row."""
    number_B: Tensor
    """int64 [B]: the row's number in its lane; (seed, lane, number) keys all its randomness."""
    source_names: tuple[str, ...]

    @classmethod
    def joined(cls, batches: Sequence[PackedBatch]) -> PackedBatch:
        """The rows of several batches of one size, one batch after another."""
        first = batches[0]
        names = [name for name in vars(first) if name.endswith(("_BT", "_B"))]
        tables: Any = {name: torch.cat([getattr(own, name) for own in batches]) for name in names}
        slots = {
            name: Slots.joined([own.slots[name] for own in batches], first.num_rows)
            for name in first.slots
        }
        return replace(first, **tables, slots=slots)

    @property
    def num_rows(self) -> int:
        """B."""
        return self.ids_BT.shape[0]

    @property
    def num_positions(self) -> int:
        """T."""
        return self.ids_BT.shape[1]

    @cached_property
    def text_position_R(self) -> Tensor:
        """int64 [R]: flattened positions that predict a token."""
        return (self.label_BT.flatten() != NO_LABEL).nonzero().squeeze(1)

    @cached_property
    def num_text_targets(self) -> int:
        """Positions that predict a token: the text loss's share of the global count."""
        return len(self.text_position_R)

    @cached_property
    def num_filled(self) -> int:
        """Positions that are not padding."""
        return int((self.modality_BT != PADDING).sum())

    @cached_property
    def num_pairs(self) -> int:
        """(query, key) pairs that the mask really allows, padding left out."""
        width_BT = self.last_BT - self.first_BT + 1
        return int(width_BT[self.modality_BT != PADDING].sum())

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on a device; lists derived on the host travel with it."""
        return self if self.ids_BT.device == torch.device(device) else moved(self, device)

    def validate(self) -> None:
        """Check every invariant that the model relies on.

        Raises:
            ValueError: with the first broken invariant.
        """
        for name, tensor in {n: own for n, own in vars(self).items() if n.endswith("_BT")}.items():
            _require(tensor.dtype == torch.int64, f"{name} is {tensor.dtype}, not int64")
            _require(tensor.shape == self.ids_BT.shape, f"{name} has shape {tuple(tensor.shape)}")
        self._validate_slots()
        query_T = torch.arange(self.num_positions)
        padding_BT = self.modality_BT == PADDING
        _require((self.first_BT <= query_T).all(), "an interval begins after its query")
        _require((self.last_BT >= query_T).all(), "an interval ends before its query")
        _require((self.last_BT < self.num_positions).all(), "an interval leaves the row")
        alike_BT = padding_BT == (self.document_BT == NOBODY)
        _require(alike_BT.all(), "padding and document numbers disagree")
        for end_BT in (self.first_BT, self.last_BT):
            own_BT = self.document_BT.gather(1, end_BT) == self.document_BT
            _require(own_BT[~padding_BT].all(), "an interval reaches into another document")
        silent = self.label_BT[self.modality_BT != TEXT] == NO_LABEL
        _require(silent.all(), "a position that holds no text predicts a token")

    def _validate_slots(self) -> None:
        _require(set(self.slots) == set(self.streams.names), "streams and slots differ")
        for name, own in self.slots.items():
            modality_L = self.modality_BT.flatten()[own.position_L]
            inside_L = modality_L == self.streams.modality_of(name)
            _require(inside_L.all(), f"an item of {name} lies outside its modality's positions")
            read = 0 if own.raw_LC is None else len(own.raw_LC)
            given = len(own.items) == len(own) or read == len(own.item_L)
            _require(given, f"slots of {name} and their contents differ in number")
        latents = sum(len(own.item_L) for own in self.slots.values())
        placed = int((self.modality_BT > TEXT).sum())
        _require(placed == latents, "slots and positions of latent tokens differ in number")


def _require(condition: Tensor | bool, what: str) -> None:
    if not condition:
        raise ValueError(f"invalid PackedBatch: {what}")
