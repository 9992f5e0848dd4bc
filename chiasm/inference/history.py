"""The cached rows of a batch of requests, each row at its own length.

Requests are in different states at one time: some write, some generate, some have ended. A group
that runs is moved to the first rows of the cache (a swap of rows, only when a group changes), so
that every pass works on a slice of the cache, without a copy and without idle rows.

Shape suffixes: B rows of the group that runs, T new positions, L latent tokens of all its items of
a stream, C latent channels, D width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.layout import lay_out as layout_of
from chiasm.batch.slots import Slots
from chiasm.batch.streams import TEXT, Streams
from chiasm.flow import mix
from chiasm.inference.choice import GIVEN_NOISE, item_noise
from chiasm.inference.passage import Passage, PlacedItem
from chiasm.model.cache import KeyValueCache
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput, LatentInput
from chiasm.model.mask import IntervalMask


class Reading(NamedTuple):
    """Passages side by side, behind what their rows hold: the decoder's arguments."""

    inputs: DecoderInput
    mask: IntervalMask
    cache: KeyValueCache | None


def lay_out(
    decoder: Decoder,
    passages: Sequence[Passage],
    latents: Mapping[str, Tensor],
    time: float | Mapping[str, Tensor],
    held_B: Sequence[int],
    cache: KeyValueCache | None,
    begin_B: Sequence[int] | None = None,
) -> Reading:
    """Returns passages as the decoder's input, shorter ones padded on the right.

    Args:
        decoder: the model.
        passages: one per row.
        latents: [L, C] of the passages' items of each stream, row after row.
        time: flow time of them all, or of each latent token, [L] of each stream.
        held_B: the number of positions that each row holds before its passage.
        cache: what the rows hold; without one the passages are all that can be seen.
        begin_B: the rotary position of each passage's first position, where it is not the number
            of those that the row holds.
    """
    rows, width = len(passages), max(map(len, passages))
    ids_BT, filled_BT = np.zeros((rows, width), np.int64), np.zeros((rows, width), bool)
    for row, passage in enumerate(passages):
        ids_BT[row, : len(passage)] = passage.ids
        filled_BT[row, : len(passage)] = True
    held = np.array(held_B)
    position_BT = np.arange(width) + np.array(held_B if begin_B is None else begin_B)[:, None]
    slots = _slots(decoder.shapes, passages, width)
    layout = layout_of(filled_BT, position_BT, slots, decoder.shapes, 0 if cache is None else held)
    tables = (ids_BT, position_BT, *layout)
    ids, position, modality, first, last = (torch.from_numpy(t).to(decoder.device) for t in tables)
    read: dict[str, LatentInput] = {}
    for name, own in slots.items():
        there = own.to(decoder.device)
        if isinstance(time, Mapping):
            time_L = time[name]
        else:
            time_L = latents[name].new_full((len(there.item_L),), time)
        read[name] = LatentInput(latents[name], time_L, there.position_L, there.place_LA)
    keys = (width, None) if cache is None else (cache.capacity, cache.lengths_B)
    mask = IntervalMask(first, last, *keys)
    ends = None
    if cache is not None and len(read) < 2:  # those of two streams may take turns
        ends = _ends(layout.modality_BT, decoder.shapes)
    return Reading(DecoderInput(ids, modality, position, read, ends), mask, cache)


def with_noise(
    streams: Streams,
    passages: Sequence[Passage],
    latents: Mapping[str, Tensor],
    noise_B: Sequence[float],
    seed_B: Sequence[int],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the passages' latents [L, C] as far from clean as each row says, and their flow
    times [L], by stream.
    """
    noise: dict[str, list[Tensor]] = defaultdict(list)
    times: dict[str, list[Tensor]] = defaultdict(list)
    for passage, level, seed in zip(passages, noise_B, seed_B, strict=True):
        for number, item in enumerate(passage.items):
            drawn = item_noise(seed, number, streams[item.stream].on(item.grid), GIVEN_NOISE)
            noise[item.stream].append(drawn)
            times[item.stream].append(torch.full((len(drawn),), 1.0 - level))
    noised, time = {}, {}
    for name, z_LC in latents.items():
        time[name], noise_LC = (torch.cat(own[name]).to(z_LC.device) for own in (times, noise))
        noised[name] = mix(z_LC, noise_LC, time[name])
    return noised, time


def _ends(modality_BT: np.ndarray, streams: Streams) -> tuple[int, ...] | None:
    """Returns where each modality's positions end, if all are of one; padding counts as text."""
    number, *others = np.unique(np.maximum(modality_BT, TEXT))
    if others:
        return None
    return tuple(
        modality_BT.size * bool(own >= number)
        for own in range(TEXT, TEXT + len(streams.modalities))
    )


def _slots(streams: Streams, passages: Sequence[Passage], width: int) -> dict[str, Slots]:
    """Returns the slots of the passages' items, by stream; streams without items are left out."""
    places: dict[str, list[tuple[int, PlacedItem]]] = {}
    for row, passage in enumerate(passages):
        for item in passage.items:
            places.setdefault(item.stream, []).append((row, item))
    slots = {}
    for name, own in places.items():
        row_N, start_N = np.array([(row, item.start) for row, item in own]).T
        grids = [item.grid for _, item in own]
        target_N = np.ones(len(own), bool)
        slots[name] = Slots.of(streams[name], width, (), grids, row_N, start_N, target_N)
    return slots


class History:
    """The positions that each request of a batch has read; a member is the number of a request.

    ``capacity``: most positions that a row may come to hold.
    """

    def __init__(self, decoder: Decoder, num_members: int, capacity: int) -> None:
        self._decoder = decoder
        self._cache = decoder.new_cache(num_members, capacity)
        self._row = list(range(num_members))
        self._held = [0] * num_members
        self._left = [0] * num_members

    def held(self, member: int) -> int:
        """Returns the number of positions that the member has read."""
        return self._held[member]

    def position(self, member: int) -> int:
        """Returns the rotary position behind what the member has read."""
        return self._held[member] + self._left[member]

    def clear(self, member: int) -> None:
        """Empties a member's row, for another request of that number."""
        self._held[member] = self._left[member] = 0

    def gather(self, members: Sequence[int]) -> list[int]:
        """Moves a group to the first rows; returns its members in the order of their rows."""
        inside = set(members)
        # As many members stand outside the first rows as strangers stand inside: each pair swaps
        # rows, and rows that stay are not touched.
        leaving = [m for m, row in enumerate(self._row) if row < len(inside) and m not in inside]
        entering = [m for m in inside if self._row[m] >= len(inside)]
        for out, into in zip(leaving, entering, strict=True):
            rows = [self._row[into], self._row[out]]
            for layer in self._cache.whole:
                layer.copy(rows, rows[::-1])
            self._row[out], self._row[into] = rows
        return sorted(inside, key=lambda member: self._row[member])

    def lay_out(
        self,
        group: Sequence[int],
        passages: Sequence[Passage],
        latents: Mapping[str, Tensor],
        time: float | Mapping[str, Tensor],
    ) -> Reading:
        """Returns each member's passage behind what it has read; for a group of :meth:`gather`."""
        held = [self._held[member] for member in group]
        num_slots = max(held) + max(len(passage) for passage in passages)
        held_B = torch.tensor(held, device=self._cache.lengths_B.device)
        cache = self._cache.slice(held_B, num_slots)
        begins = [self.position(member) for member in group]
        return lay_out(self._decoder, passages, latents, time, held, cache, begins)

    def branch(self, group: Sequence[int], beside: int, room: int) -> KeyValueCache:
        """Returns a cache of its own: ``beside`` empty rows, then what each member has read.

        For a group of :meth:`gather`; every row has ``room`` slots more than the longest holds.
        """
        held = [self._held[member] for member in group]
        branch = self._decoder.new_cache(beside + len(group), max(held) + room)
        for own, layer in zip(self._cache.whole, branch.whole, strict=True):
            for kept, copied in zip(own.tensors, layer.tensors, strict=True):
                copied[beside:, : max(held)] = kept[: len(group), : max(held)]
        branch.lengths_B[beside:] = torch.tensor(held)
        return branch

    def read(
        self,
        group: Sequence[int],
        passages: Sequence[Passage],
        latents: Mapping[str, Tensor] | None = None,
        time: float | Mapping[str, Tensor] = 1.0,
    ) -> Tensor:
        """Reads the passages; returns the hidden vector [B, D] at each one's last position.

        The passages' items are finished: flow time 1, ``latents`` [L, C] clean, unless ``time``
        says otherwise; the rest is as in :meth:`lay_out`.
        """
        reading = self.lay_out(group, passages, latents or {}, time)
        x_BTD = self._decoder(*reading)
        for member, passage in zip(group, passages, strict=True):
            self._held[member] += len(passage)
        last_B = torch.tensor([len(passage) - 1 for passage in passages], device=x_BTD.device)
        return x_BTD[torch.arange(len(group), device=x_BTD.device), last_B]

    def copy(self, source: int, others: Sequence[int]) -> None:
        """Copies what one member has read to other members."""
        held, rows = self._held[source], [self._row[source]] * len(others)
        for layer in self._cache.whole:
            layer.copy(rows, [self._row[member] for member in others], held)
        for member in others:
            self._held[member], self._left[member] = held, self._left[source]

    def forget(self, counts: Mapping[int, int], begin: Passage) -> None:
        """Lets members lose the oldest of what they have read, but for ``begin``, the text with
        which their documents begin.

        What is left keeps its rotary positions, of which attention sees differences alone, and
        what it has seen. ``begin`` is read anew right before it, so that it is as near as ever.

        Args:
            counts: by member, the number of positions behind ``begin`` to lose.
            begin: of all these members.
        """
        for member, count in counts.items():
            slots = range(len(begin), len(begin) + count)
            for layer in self._cache.whole:
                layer.drop(self._row[member], slots, self._held[member])
            self._held[member] -= count
            self._left[member] += count
        nothing, rows = [0] * len(counts), [self._row[member] for member in counts]
        fresh = self._decoder.new_cache(len(counts), len(begin))
        places = [self._left[member] for member in counts]
        passages = [begin] * len(counts)
        self._decoder(*lay_out(self._decoder, passages, {}, 1.0, nothing, fresh, places))
        for own, layer in zip(self._cache.whole, fresh.whole, strict=True):
            for kept, read in zip(own.tensors, layer.tensors, strict=True):
                kept[rows, : len(begin)] = read
