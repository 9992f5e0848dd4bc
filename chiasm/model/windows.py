"""Attention only where documents lie: a packed row cut into windows that no interval crosses.

A dense kernel computes every pair of a row, and most pairs of a packed row belong to different
documents. Here short neighbouring documents share a window, long ones have their own, and the
windows of one size go through the kernel together. A window may reach into a neighbour's
positions to fill its size; the mask hides them, and the neighbour's outputs come from its own
window. Used on CPUs; FlexAttention does the same with its blocks on GPUs.

Shape suffixes: B rows, T positions, M = B·T, K windows of all sizes, N windows of one size, S
positions of a window, W positions of all windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

SMALLEST = 32
"""Positions of the smallest window; sizes double from here."""

WORTH_IT = 0.7
"""Windows are used when they hold less than this share of the dense mask's pairs."""


@dataclass(frozen=True)
class Windows:
    """Where each window reads, and which of its outputs count."""

    position_W: Tensor
    """int64: the flattened position that each place of each window holds, small windows first."""
    owner_M: Tensor
    """int64: the place whose output is the position's own."""
    intervals: tuple[Tensor, ...]
    """int64 [2, N, S] for each size: first and last key seen, counted inside the window."""

    @classmethod
    def of(cls, first_BT: Tensor, last_BT: Tensor) -> Windows | None:
        """Of intervals over the rows' own positions; None where dense attention is as good."""
        num_rows, num_positions = first_BT.shape
        windows = [
            (row * num_positions, begin, end, _size(end - begin, num_positions))
            for row, borders in enumerate(_borders(first_BT.numpy(), last_BT.numpy()))
            for begin, end in _joined(borders, num_positions)
        ]
        row_K, begin_K, end_K, size_K = np.array(windows).T
        if (size_K**2).sum() > WORTH_IT * num_rows * num_positions**2:
            return None
        start_K = np.minimum(begin_K, num_positions - size_K)
        order_K = size_K.argsort(kind="stable")
        place_K = np.empty_like(size_K)  # where each begins among the places of all windows
        place_K[order_K] = size_K[order_K].cumsum() - size_K[order_K]
        shift_K = place_K - (row_K + start_K)  # from positions to places
        owner_M = np.arange(num_rows * num_positions) + shift_K.repeat(end_K - begin_K)
        window_W = order_K.repeat(size_K[order_K])
        position_W = torch.from_numpy(np.arange(len(window_W)) - shift_K[window_W])
        ends_2W = torch.stack((first_BT, last_BT)).flatten(1)[:, position_W]
        ends_2W -= torch.from_numpy(start_K[window_W])
        sizes, counts = np.unique(size_K, return_counts=True)
        parts = zip(sizes.tolist(), ends_2W.split((sizes * counts).tolist(), dim=1), strict=True)
        intervals = tuple(part.view(2, -1, size) for size, part in parts)
        return cls(position_W, torch.from_numpy(owner_M), intervals)


def _borders(first_BT: np.ndarray, last_BT: np.ndarray) -> list[list[int]]:
    """For each row the positions that no interval reaches across, 0 and T included."""
    reach_forward = np.maximum.accumulate(last_BT, axis=1)
    reach_back = np.minimum.accumulate(first_BT[:, ::-1], axis=1)[:, ::-1]
    here = np.arange(1, first_BT.shape[1])
    free = (reach_forward[:, :-1] < here) & (reach_back[:, 1:] >= here)
    return [[0, *(np.flatnonzero(row) + 1).tolist(), first_BT.shape[1]] for row in free]


def _joined(borders: list[int], num_positions: int) -> list[tuple[int, int]]:
    """Neighbours share a window where that does not add pairs."""

    def pairs(begin: int, end: int) -> int:
        return _size(end - begin, num_positions) ** 2

    windows: list[tuple[int, int]] = []
    for begin, end in pairwise(borders):
        start = begin
        if windows and pairs(windows[-1][0], end) <= pairs(*windows[-1]) + pairs(begin, end):
            start, _ = windows.pop()
        windows.append((start, end))
    return windows


def _size(length: int, num_positions: int) -> int:
    """The smallest window size that holds ``length`` positions."""
    return min(SMALLEST << ((length - 1) // SMALLEST).bit_length(), num_positions)
