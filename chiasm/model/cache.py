"""Keys and values of what was already read.

A forward pass writes its keys and values behind what a row holds but does not count them as held:
the next pass overwrites them. So an unfinished image can be recomputed at every solver step, and
only :meth:`KeyValueCache.advance`, after the pass at flow time 1, makes it part of the history.

Shape suffixes: B rows, T new positions, S slots, G key-value heads, K head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from chiasm.model.settings import ModelSettings


class Cacheable(Protocol):
    """What a cache must know of the decoder it serves."""

    settings: ModelSettings
    compute_dtype: torch.dtype

    @property
    def device(self) -> torch.device: ...


class KeyValueCache:
    """S slots for each of B rows in every layer, and how many slots of each row are held."""

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        self.keys = keys
        """One [B, S, G, K] per layer."""
        self.values = values
        """One [B, S, G, K] per layer."""
        rows = keys[0].shape[0]
        self.lengths_B = torch.zeros(rows, dtype=torch.int64, device=keys[0].device)
        """int64: slots of each row that are held."""

    @classmethod
    def allocate(cls, decoder: Cacheable, rows: int, capacity: int) -> KeyValueCache:
        """An empty cache of ``capacity`` slots for each of ``rows`` rows."""
        settings = decoder.settings
        shape = (rows, capacity, settings.key_value_heads, settings.K)

        def empty() -> list[Tensor]:
            return [
                torch.zeros(shape, dtype=decoder.compute_dtype, device=decoder.device)
                for _ in range(settings.depth)
            ]

        return cls(empty(), empty())

    @property
    def capacity(self) -> int:
        """S."""
        return self.keys[0].shape[1]

    def layers(self, num_new: int) -> list[LayerCache]:
        """Every layer's part of a pass over ``num_new`` new positions of each row.

        Raises:
            ValueError: if a row has no room for them.
        """
        longest = int(self.lengths_B.max())
        if longest + num_new > self.capacity:
            raise ValueError(
                f"{num_new} new positions behind {longest} held ones exceed the cache's "
                f"capacity of {self.capacity} slots"
            )
        row_B1 = torch.arange(len(self.lengths_B), device=self.lengths_B.device).unsqueeze(1)
        new_T = torch.arange(num_new, device=self.lengths_B.device)
        slot_BT = self.lengths_B.unsqueeze(1) + new_T
        return [
            LayerCache(keys, values, row_B1, slot_BT)
            for keys, values in zip(self.keys, self.values, strict=True)
        ]

    def advance(self, count_B: Tensor) -> None:
        """Hold the first ``count_B`` of the positions that the last pass wrote, per row."""
        self.lengths_B = self.lengths_B + count_B


@dataclass(frozen=True)
class LayerCache:
    """One layer's slots during one forward pass, and which of them the pass writes."""

    keys_BSGK: Tensor
    values_BSGK: Tensor
    row_B1: Tensor
    slot_BT: Tensor

    def extend(self, k_BTGK: Tensor, v_BTGK: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new keys and values; returns those of all S slots."""
        self.keys_BSGK[self.row_B1, self.slot_BT] = k_BTGK
        self.values_BSGK[self.row_B1, self.slot_BT] = v_BTGK
        return self.keys_BSGK, self.values_BSGK
