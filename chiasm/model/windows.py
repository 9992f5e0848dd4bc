"""Attention only where documents lie: a packed row cut into windows that no interval crosses.

A dense kernel computes every pair of a row, and most pairs of a packed row belong to different
documents. Here short neighbouring documents share a window, long ones have their own, and the
windows of one size go through the kernel together. A window may reach into a neighbour's
positions to fill its size; the mask hides them, and the neighbour's outputs come from its own
window. Used on CPUs; FlexAttention does the same with its blocks on GPUs.

Shape suffixes: B rows, T positions, M = B·T, N windows of one size, S positions of a window,
W positions of all windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from chiasm.model.mask import IntervalMask

SMALLEST = 32
"""Positions of the smallest window; sizes double from here."""

WORTH_IT = 0.7
"""Windows are used when they hold less than this share of the dense mask's pairs."""


@dataclass(frozen=True)
class Windows:
    """Where each window reads, and which of its outputs count."""

    position_W: Tensor
    """int64: the flattened position that each place of each window holds, group after group."""
    owner_M: Tensor
    """int64: the place whose output is the position's own."""
    masks: tuple[Tensor, ...]
    """One additive mask [N, 1, S, S] per group of equal windows."""

    @classmethod
    def of(cls, mask: IntervalMask) -> Windows | None:
        """The windows of a mask over its own positions; None where dense attention is as good."""
        num_rows, num_positions = mask.first_BT.shape
        windows = [
            (row, begin, end)
            for row, borders in enumerate(_borders(mask))
            for begin, end in _joined(borders, num_positions)
        ]
        sizes = [_size(end - begin, num_positions) for _, begin, end in windows]
        if sum(size**2 for size in sizes) > WORTH_IT * num_rows * num_positions**2:
            return None
        owner_M = np.empty(num_rows * num_positions, np.int64)
        places, masks, used = [], [], 0
        for size in sorted(set(sizes)):
            group = [w for w, its_size in zip(windows, sizes, strict=True) if its_size == size]
            row_N = np.array([row for row, _, _ in group])
            start_N = np.array([min(begin, num_positions - size) for _, begin, _ in group])
            for number, (row, begin, end) in enumerate(group):
                place = used + number * size + begin - start_N[number]
                first = row * num_positions + begin
                owner_M[first : first + end - begin] = np.arange(place, place + end - begin)
            place_NS = (row_N * num_positions + start_N)[:, None] + np.arange(size)
            places.append(place_NS.ravel())
            start_N1 = torch.from_numpy(start_N).unsqueeze(1)
            first_NS = mask.first_BT.flatten()[place_NS] - start_N1
            last_NS = mask.last_BT.flatten()[place_NS] - start_N1
            masks.append(IntervalMask(first_NS, last_NS, size).additive_B1TS)
            used += place_NS.size
        position_W = torch.from_numpy(np.concatenate(places))
        return cls(position_W, torch.from_numpy(owner_M), tuple(masks))


def _borders(mask: IntervalMask) -> list[list[int]]:
    """For each row the positions that no interval reaches across, 0 and T included."""
    first_BT, last_BT = mask.first_BT.numpy(), mask.last_BT.numpy()
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
    size = SMALLEST
    while size < length:
        size *= 2
    return min(size, num_positions)
