"""The cached rows of a batch of requests, each row at its own length.

Requests are in different states at one time: some write, some draw, some have ended. A group that
runs is moved to the first rows of the cache (a swap of rows, only when a group changes), so that
every pass works on a slice of the cache, without a copy and without idle rows.

Shape suffixes: B rows of the group that runs, T new positions, L latent tokens of all its images,
C latent channels, D width, 2 = (row, column). Where context images have a tokenizer of their own:
U latent tokens of them all, A their channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import Modality
from chiasm.inference.passage import Passage
from chiasm.model import ContextLatents, Decoder, DecoderInput, IntervalMask, KeyValueCache


@dataclass(frozen=True)
class Reading:
    """Passages laid side by side behind what their rows hold: ready for the decoder."""

    inputs: DecoderInput
    mask: IntervalMask
    cache: KeyValueCache | None
    length_B: Tensor
    """int64: true length of each row's passage."""


def lay_out(
    passages: Sequence[Passage],
    latents: ImageLatents,
    time_L: Tensor,
    held_B: Sequence[int],
    cache: KeyValueCache | None,
) -> Reading:
    """Passages as the decoder's input, shorter ones padded on the right.

    Args:
        passages: one per row.
        latents: of all the passages' images, row after row.
        time_L: flow time of each latent token.
        held_B: the rotary position of each passage's first position.
        cache: what the rows hold, ``held_B`` positions each, before the passages; without one the
            passages are all that can be seen.
    """
    lengths = [len(passage) for passage in passages]
    rows, width = len(passages), max(lengths)
    ids_BT = torch.zeros(rows, width, dtype=torch.int64)
    modality_BT = torch.full((rows, width), int(Modality.PADDING))
    last_BT = torch.arange(width).repeat(rows, 1)  # padding sees itself alone
    first_BT = last_BT.clone()
    for row, passage in enumerate(passages):
        ids_BT[row, : len(passage)] = passage.ids_T
        modality_BT[row, : len(passage)] = passage.modality_T
        last_BT[row, : len(passage)] = passage.last_T
    held_B1 = torch.tensor(held_B).unsqueeze(1)
    slot_B1 = torch.zeros_like(held_B1) if cache is None else held_B1
    first_BT = torch.where(modality_BT == Modality.PADDING, first_BT + slot_B1, 0)
    latent_position_L = torch.cat(
        [passage.latent_offset_L + row * width for row, passage in enumerate(passages)]
    )
    device = latents.z_LC.device
    inputs = DecoderInput(
        ids_BT=ids_BT.to(device),
        modality_BT=modality_BT.to(device),
        position_BT=(torch.arange(width) + held_B1).to(device),
        z_LC=latents.z_LC,
        time_L=time_L,
        latent_position_L=latent_position_L.to(device),
        yx_L2=torch.cat([passage.yx_L2 for passage in passages]).to(device),
        context=_context(passages, latents.context_UA),
    )
    num_keys = width if cache is None else cache.capacity
    mask = IntervalMask(first_BT.to(device), (last_BT + slot_B1).to(device), num_keys)
    return Reading(inputs, mask, cache, torch.tensor(lengths, device=device))


def _context(passages: Sequence[Passage], context_UA: Tensor | None) -> ContextLatents | None:
    if context_UA is None:
        return None
    target_L = torch.cat([passage.target_L for passage in passages]).to(context_UA.device)
    return ContextLatents(
        context_UA, (~target_L).nonzero().squeeze(1), target_L.nonzero().squeeze(1)
    )


class History:
    """What each of a batch of requests has read so far.

    Args:
        decoder: the model.
        num_members: requests of the batch; a member is its number.
        capacity: positions that the longest of them may come to hold.
    """

    def __init__(self, decoder: Decoder, num_members: int, capacity: int) -> None:
        self._decoder = decoder
        self._cache = decoder.new_cache(num_members, capacity)
        self._row = list(range(num_members))
        self._held = [0] * num_members

    def held(self, member: int) -> int:
        """Positions that the member has read."""
        return self._held[member]

    def gather(self, members: Sequence[int]) -> list[int]:
        """Move a group to the first rows; returns its members in the order of their rows."""
        inside = set(members)
        leaving = [m for m, row in enumerate(self._row) if row < len(inside) and m not in inside]
        entering = [m for m in inside if self._row[m] >= len(inside)]
        for out, into in zip(leaving, entering, strict=True):
            self._swap(out, into)
        return sorted(inside, key=lambda member: self._row[member])

    def lay_out(
        self,
        group: Sequence[int],
        passages: Sequence[Passage],
        latents: ImageLatents,
        time_L: Tensor,
    ) -> Reading:
        """Each member's passage behind what it has read; ``group`` as :meth:`gather` gives it."""
        held = [self._held[member] for member in group]
        num_slots = max(held) + max(len(passage) for passage in passages)
        held_B = torch.tensor(held, device=self._cache.lengths_B.device)
        cache = self._cache.slice(held_B, num_slots)
        return lay_out(passages, latents, time_L, held, cache)

    def read(
        self,
        group: Sequence[int],
        passages: Sequence[Passage],
        latents: ImageLatents | None = None,
    ) -> Tensor:
        """Read passages for good, their images finished (flow time 1).

        Args:
            group: members in the order of their rows, as :meth:`gather` gives them.
            passages: one per member.
            latents: clean, of the passages' images, member after member.

        Returns:
            the hidden vector [B, D] at each passage's last position.
        """
        decoder = self._decoder
        if latents is None:
            no_rows = torch.zeros(0, decoder.latent_channels, device=decoder.device)
            latents = ImageLatents(no_rows)
        time_L = latents.z_LC.new_ones(len(latents.z_LC))
        reading = self.lay_out(group, passages, latents, time_L)
        x_BTD = decoder(reading.inputs, reading.mask, reading.cache)
        for member, passage in zip(group, passages, strict=True):
            self._held[member] += len(passage)
        return x_BTD[torch.arange(len(group), device=x_BTD.device), reading.length_B - 1]

    def copy(self, source: int, others: Sequence[int]) -> None:
        """Let other members have read what one has."""
        held, row = self._held[source], self._row[source]
        rows = [self._row[member] for member in others]
        for layer in self._cache.whole:
            layer.copy(row, rows, held)
        for member in others:
            self._held[member] = held

    def _swap(self, one: int, other: int) -> None:
        for layer in self._cache.whole:
            layer.swap(self._row[one], self._row[other])
        self._row[one], self._row[other] = self._row[other], self._row[one]
