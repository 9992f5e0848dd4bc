"""The items of one stream in a batch: where each lies, which part it plays, and what it holds.

Shape suffixes: N items, L latent tokens of all items (item after item, the last axis fastest), A
axes of an item, C latent channels, G latent tokens of targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape


@dataclass(frozen=True)
class RawLatents:
    """Latents of one item as its encoder made them, in place of what they were made of."""

    raw_PC: Tensor
    """float [P, C], not yet standardized."""


@dataclass(frozen=True)
class Slots:
    """N items in row order and, inside a row, in position order."""

    row_N: Tensor
    """int64 [N]: the batch row that holds the item."""
    start_N: Tensor
    """int64 [N]: position of its first latent token; the mark that opens it stands just before."""
    grid_NA: Tensor
    """int64 [N, A]: latent tokens along each of its axes."""
    target_N: Tensor
    """bool [N]: noised and trained on (True), or clean context (False)."""
    dropped_N: Tensor
    """bool [N]: its condition was dropped for guidance."""
    source_N: Tensor
    """int64 [N]: number of the source it comes from."""
    sequence_length: int
    """T: positions of a row."""
    items: tuple[Tensor, ...] = ()
    """N items as their tokenizer reads them, such as pictures, uint8 [3, H, W]; they may differ in
    size. None where latents were read."""
    raw_LC: Tensor | None = None
    """float [L, C]: their latents before they are standardized, in place of the items."""

    @classmethod
    def of(
        cls,
        shape: StreamShape,
        sequence_length: int,
        contents: Sequence[Tensor | RawLatents],
        grids: Sequence[tuple[int, ...]],
        row_N: np.ndarray,
        start_N: np.ndarray,
        target_N: np.ndarray,
        dropped_N: np.ndarray | None = None,
        source_N: np.ndarray | None = None,
    ) -> Slots:
        """Items of one stream from what is known of each."""
        dropped_N = np.zeros(len(row_N), bool) if dropped_N is None else dropped_N
        source_N = np.zeros(len(row_N), np.int64) if source_N is None else source_N
        raw = [each.raw_PC for each in contents if isinstance(each, RawLatents)]
        return cls(
            row_N=torch.from_numpy(row_N.astype(np.int64)),
            start_N=torch.from_numpy(start_N.astype(np.int64)),
            grid_NA=torch.tensor(grids, dtype=torch.int64).reshape(-1, len(shape.grid)),
            target_N=torch.from_numpy(target_N),
            dropped_N=torch.from_numpy(dropped_N),
            source_N=torch.from_numpy(source_N.astype(np.int64)),
            sequence_length=sequence_length,
            items=tuple(each for each in contents if isinstance(each, Tensor)),
            raw_LC=torch.cat(raw) if raw else None,
        )

    @classmethod
    def joined(cls, parts: Sequence[Slots], rows: int) -> Slots:
        """The items of several batches of so many rows each, one batch after another."""

        def cat(name: str) -> Tensor:
            return torch.cat([getattr(own, name) for own in parts])

        names = ("start_N", "grid_NA", "target_N", "dropped_N", "source_N")
        raw = [own.raw_LC for own in parts if own.raw_LC is not None]
        return cls(
            row_N=torch.cat([own.row_N + rows * number for number, own in enumerate(parts)]),
            **{name: cat(name) for name in names},
            sequence_length=parts[0].sequence_length,
            items=tuple(item for own in parts for item in own.items),
            raw_LC=torch.cat(raw) if raw else None,
        )

    def __len__(self) -> int:
        return len(self.row_N)

    @cached_property
    def tokens_N(self) -> Tensor:
        """int64 [N]: latent tokens of each item."""
        return self.grid_NA.prod(dim=1)

    @cached_property
    def item_L(self) -> Tensor:
        """int64 [L]: the item that each latent token belongs to."""
        return torch.arange(len(self), device=self.row_N.device).repeat_interleave(self.tokens_N)

    @cached_property
    def offset_L(self) -> Tensor:
        """int64 [L]: each latent token's number inside its item."""
        begin_N = self.tokens_N.cumsum(0) - self.tokens_N
        count_L = torch.arange(len(self.item_L), device=self.row_N.device)
        return count_L - begin_N[self.item_L]

    @cached_property
    def place_LA(self) -> Tensor:
        """int64 [L, A]: each latent token's coordinates inside its item."""
        grid_LA, rest_L = self.grid_NA[self.item_L], self.offset_L
        places = []
        for size_L in reversed(grid_LA.unbind(1)):
            places.append(rest_L % size_L)
            rest_L = rest_L // size_L
        return torch.stack(places[::-1], dim=1)

    @cached_property
    def position_L(self) -> Tensor:
        """int64 [L]: where each latent token lies in the flattened [B*T] positions."""
        begin_N = self.row_N * self.sequence_length + self.start_N
        return begin_N[self.item_L] + self.offset_L

    @cached_property
    def target_G(self) -> Tensor:
        """int64 [G]: which of the L latent tokens belong to targets."""
        return self.target_N[self.item_L].nonzero().squeeze(1)

    @cached_property
    def position_G(self) -> Tensor:
        """int64 [G]: where those lie in the flattened positions."""
        return self.position_L[self.target_G]

    @cached_property
    def num_targets(self) -> int:
        """G: the flow loss's share of the global count."""
        return len(self.target_G)

    def to(self, device: torch.device | str) -> Slots:
        """The same items on another device; lists derived on the host travel with them."""
        return moved(self, device)


def moved(own: Any, device: torch.device | str) -> Any:
    """Returns a dataclass whose tensors lie on the device, those of its cached properties too.

    Lists derived of it have data-dependent lengths: made on the host, they cost the device no sync.
    """
    return changed(own, lambda tensor: tensor.to(device, non_blocking=True))


def changed(own: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Returns a dataclass with each of its tensors changed, those of its cached properties too."""
    derived = [name for name, of in vars(type(own)).items() if isinstance(of, cached_property)]

    def there(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(there, value))
        if isinstance(value, Mapping):
            return {name: there(each) for name, each in value.items()}
        if isinstance(value, Tensor):
            return change(value)
        return changed(value, change) if isinstance(value, Slots) else value

    copy = replace(own, **{field.name: there(getattr(own, field.name)) for field in fields(own)})
    copy.__dict__.update({name: there(getattr(own, name)) for name in derived})
    return copy
