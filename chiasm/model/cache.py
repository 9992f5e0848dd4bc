"""What the attention layers keep of what was already read.

A forward pass writes what it keeps behind what a row holds but does not count it as held: the
next pass overwrites it. So an unfinished image can be recomputed at every solver step, and it is
part of the history once it is counted in ``lengths_B``, after the pass at flow time 1.

Shape suffixes: B rows, T new positions, S slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerCache:
    """S slots for each of B rows, and in every slot what one layer keeps of a position."""

    tensors: tuple[Tensor, ...]
    """Each [B, S, ...]: keys and values, say; the layer that made the cache knows."""
    new: tuple[Tensor, Tensor] | None = None
    """int64 [B, 1] and [B, T]: rows and slots that the forward pass writes."""

    def extend(self, *new: Tensor) -> tuple[Tensor, ...]:
        """Write what is new, [B, T, ...] for each tensor; returns the tensors of all S slots."""
        assert self.new is not None  # of KeyValueCache.layers
        for kept, values in zip(self.tensors, new, strict=True):
            kept[self.new] = values
        return self.tensors

    def copy(self, rows: Sequence[int], into: Sequence[int], slots: int | None = None) -> None:
        """Let the rows ``into`` hold what ``rows`` hold, in the first slots or in all."""
        for kept in self.tensors:
            kept[into, :slots] = kept[rows, :slots]

    def drop(self, row: int, slots: range, end: int) -> None:
        """Let a row lose some slots; those behind them, up to ``end``, take their place."""
        for kept in self.tensors:
            kept[row, slots.start : end - len(slots)] = kept[row, slots.stop : end].clone()


@dataclass
class KeyValueCache:
    """The caches of all layers, and how many of the S slots of each row are held."""

    whole: Sequence[LayerCache]
    capacity: int
    lengths_B: Tensor
    """int64: slots of each row that are held."""

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
        return [replace(layer, new=(row_B1, slot_BT)) for layer in self.whole]

    def slice(self, held_B: Tensor, slots: int) -> KeyValueCache:
        """Returns the first slots of the first rows, of which these many are held.

        Writing into them writes into the whole.
        """
        rows = len(held_B)
        parts = (tuple(kept[:rows, :slots] for kept in layer.tensors) for layer in self.whole)
        return KeyValueCache([LayerCache(part) for part in parts], slots, held_B)
