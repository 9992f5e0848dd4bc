"""Attention only where documents lie: a packed row cut into windows that no interval crosses.

A dense kernel computes every pair of a row, and most pairs of a packed row belong to different
documents. Here short neighbouring documents share a window, long ones have their own, and the
windows of one size go through the kernel together. Rows that this would not shorten are one window
each. A window may reach into a neighbour's
positions to fill its size; the mask hides them, and the neighbour's outputs come from its own
window. Used on CPUs; FlexAttention does the same with its blocks on GPUs.

Shape suffixes: B rows, T positions, M = B·T, K windows of all sizes, N windows of one size, S
positions of a window, W positions of all windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

SMALLEST = 32
"""Positions of the smallest window; sizes double from here."""

WORTH_IT = 0.7
"""Rows are cut when windows hold less than this share of the dense mask's pairs."""


def seen(first_BT: Tensor, last_BT: Tensor, num_keys: int) -> Tensor:
    """bool [B, T, S]: which of S keys lie from ``first`` to ``last``, both inclusive."""
    key_S = torch.arange(num_keys, device=first_BT.device)
    return (key_S >= first_BT.unsqueeze(-1)) & (key_S <= last_BT.unsqueeze(-1))


def additive(first_BT: Tensor, last_BT: Tensor, num_keys: int) -> Tensor:
    """float32 [B, 1, T, S]: 0 where a key is seen, -inf where not."""
    visible = seen(first_BT, last_BT, num_keys).unsqueeze(1)
    return torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, float("-inf"))


@dataclass(frozen=True)
class Windows:
    """Where each window reads, and which of its outputs count."""

    position_W: Tensor
    """int64: the row that each place of each window holds, small windows first."""
    owner_M: Tensor
    """int64: the place whose output is the row's own."""
    intervals: tuple[Tensor, ...]
    """int64 [2, N, S] for each size: first and last key seen, counted inside the window."""

    @cached_property
    def masks(self) -> list[Tensor]:
        """Of each size the additive mask [N, 1, S, S]."""
        # A neighbour's positions may see nothing inside the window. Their outputs are not read, but
        # a compiled softmax would make NaN of them, and of gradients.
        each = [(ends.clamp(0, ends.shape[-1] - 1), ends.shape[-1]) for ends in self.intervals]
        return [additive(first, last, size) for (first, last), size in each]

    @classmethod
    def of(cls, first_BT: Tensor, last_BT: Tensor, order_M: Tensor | None = None) -> Windows:
        """Of intervals over the rows' own positions.

        ``order_M``: which flattened position each row of queries and keys holds; what is not among
        them is padding.
        """
        num_rows, num_positions = first_BT.shape
        order = np.arange(first_BT.numel()) if order_M is None else order_M.numpy()
        row_of_position = np.zeros(first_BT.numel(), np.int64)  # padding is hidden: any row serves
        row_of_position[order] = np.arange(len(order))
        kept_BT = np.zeros(first_BT.shape, bool)
        kept_BT.reshape(-1)[order] = True
        windows = [
            (row * num_positions, begin, end, _size(end - begin, num_positions))
            for row, pieces in enumerate(_pieces(first_BT.numpy(), last_BT.numpy(), kept_BT))
            for begin, end in _joined(pieces, num_positions)
        ]
        if sum(size**2 for *_, size in windows) > WORTH_IT * num_rows * num_positions**2:
            starts = range(0, num_rows * num_positions, num_positions)
            windows = [(start, 0, num_positions, num_positions) for start in starts]
        row_K, begin_K, end_K, size_K = np.array(windows).T
        start_K = np.minimum(begin_K, num_positions - size_K)
        order_K = size_K.argsort(kind="stable")
        place_K = np.empty_like(size_K)  # where each begins among the places of all windows
        place_K[order_K] = size_K[order_K].cumsum() - size_K[order_K]
        shift_K = place_K - (row_K + start_K)  # from positions to places
        shift = np.zeros(first_BT.numel(), np.int64)
        for row, begin, end, own in zip(row_K, begin_K, end_K, shift_K, strict=True):
            shift[row + begin : row + end] = own
        window_W = order_K.repeat(size_K[order_K])
        position_W = np.arange(len(window_W)) - shift_K[window_W]
        ends_2W = torch.stack((first_BT, last_BT)).flatten(1)[:, torch.from_numpy(position_W)]
        ends_2W -= torch.from_numpy(start_K[window_W])
        sizes, counts = np.unique(size_K, return_counts=True)
        parts = zip(sizes.tolist(), ends_2W.split((sizes * counts).tolist(), dim=1), strict=True)
        intervals = tuple(part.view(2, -1, size) for size, part in parts)
        return cls(
            torch.from_numpy(row_of_position[position_W]),
            torch.from_numpy(order + shift[order]),
            intervals,
        )


def _pieces(
    first_BT: np.ndarray, last_BT: np.ndarray, kept_BT: np.ndarray
) -> Iterator[list[tuple[int, int]]]:
    """Each row cut wherever no interval reaches across; without what is padding."""
    reach_forward = np.maximum.accumulate(last_BT, axis=1)
    reach_back = np.minimum.accumulate(first_BT[:, ::-1], axis=1)[:, ::-1]
    here = np.arange(1, first_BT.shape[1])
    free = (reach_forward[:, :-1] < here) & (reach_back[:, 1:] >= here)
    for row, kept in zip(free, kept_BT, strict=True):
        borders = [0, *(np.flatnonzero(row) + 1).tolist(), first_BT.shape[1]]
        before = [0, *kept.cumsum().tolist()]
        yield [(begin, end) for begin, end in pairwise(borders) if before[begin] < before[end]]


def _joined(pieces: list[tuple[int, int]], num_positions: int) -> list[tuple[int, int]]:
    """Neighbours share a window where that does not add pairs."""

    def pairs(begin: int, end: int) -> int:
        return _size(end - begin, num_positions) ** 2

    windows: list[tuple[int, int]] = []
    for begin, end in pieces:
        start = begin
        if windows and pairs(windows[-1][0], end) <= pairs(*windows[-1]) + pairs(begin, end):
            start, _ = windows.pop()
        windows.append((start, end))
    return windows


def _size(length: int, num_positions: int) -> int:
    """The smallest window size that holds ``length`` positions."""
    return min(SMALLEST << ((length - 1) // SMALLEST).bit_length(), num_positions)
