"""What the decoder reads: tokens everywhere, latents where items lie.

Shape suffixes: B rows, T positions, M sorted positions, N items of a stream, L their latent tokens,
C latent channels, A axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.batch.streams import PADDING, TEXT, Streams

ROWS = 16
"""Sorted positions are a multiple of this, where there is padding to make them one: threads that
share them then share whole rows, and compute the bits that one of them would."""


class LatentInput(NamedTuple):
    """The latents of one stream that the decoder reads."""

    z_LC: Tensor
    """float: latents as the model sees them, (1 - t)·noise + t·data."""
    time_L: Tensor
    """float: flow time of each latent token; 0 is noise, 1 is data. One, [1], holds for all latents
    where there are no others."""
    position_L: Tensor
    """int64: where each lies in the flattened [B·T] positions."""
    place_LA: Tensor
    """int64: its coordinates inside its item."""
    step_L: Tensor | None = None
    """float: size of the solver's step from here, as a share of the whole way; [1] holds for all.
    None: infinitely short, as 0."""


@dataclass(frozen=True)
class DecoderInput:
    """What the decoder reads: tokens everywhere, latents where items lie."""

    ids_BT: Tensor
    """int64: token numbers; those at latent tokens are not read."""
    modality_BT: Tensor
    """int64: each position's modality (:mod:`chiasm.batch.streams`)."""
    position_BT: Tensor
    """int64: rotary position, counted from the start of the document."""
    latents: Mapping[str, LatentInput]
    """By stream; one that has no items here may be left out."""
    ends: tuple[int, ...] | None = None
    """Where the flattened positions of each modality end, if they are sorted by it and hold the
    latents in their order; None: they lie as in documents."""

    @classmethod
    def from_batch(
        cls,
        batch: PackedBatch,
        z: Mapping[str, Tensor],
        times: Mapping[str, Tensor],
        steps: Mapping[str, Tensor] | None = None,
    ) -> DecoderInput:
        """Read a packed batch, each stream's latents [L, C] noised to its items' times [N], and the
        sizes [N] of steps from there."""
        latents = {}
        for name, own in batch.slots.items():
            read = LatentInput(z[name], times[name][own.item_L], own.position_L, own.place_LA)
            latents[name] = read._replace(step_L=steps[name][own.item_L]) if steps else read
        return cls(batch.ids_BT, batch.modality_BT, batch.position_BT, latents)

    def by_modality(self, streams: Streams) -> tuple[DecoderInput, Tensor]:
        """The same in one row, text first, then the latents of each modality; and the order, int64
        [M]: which of the B·T positions each of them is.

        Padding is left out, but for what makes M a multiple of :data:`ROWS`.
        """
        padding, text = (
            (self.modality_BT.flatten() == own).nonzero()[:, 0] for own in (PADDING, TEXT)
        )
        order = [torch.cat((text, padding[: (len(padding) - self.modality_BT.numel()) % ROWS]))]
        latents, ends = {}, [len(order[0])]
        numbers = {name: streams.modality_of(name) for name in self.latents}
        for number in range(TEXT + 1, TEXT + len(streams.modalities)):
            end = ends[-1]
            for name in (name for name, own in numbers.items() if own == number):
                own = self.latents[name]
                begin, end = end, end + len(own.position_L)
                latents[name] = own._replace(position_L=torch.arange(begin, end))
                order.append(own.position_L)
            ends.append(end)
        order_M = torch.cat(order)
        tables = (self.ids_BT, self.modality_BT, self.position_BT)
        ids, modality, position = (table.flatten()[order_M].unsqueeze(0) for table in tables)
        return DecoderInput(ids, modality, position, latents, tuple(ends)), order_M

    @cached_property
    def latent_position_L(self) -> Tensor:
        """int64: where the latents of all streams lie, one stream after the other."""
        return torch.cat([each.position_L for each in self.latents.values()])
