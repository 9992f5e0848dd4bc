"""Noise and flow times, keyed by what they belong to.

An item's draws depend on (seed, lane, row number, purpose, stream) and on its place among the row's
items of the stream alone: they are the same on any number of ranks, for any batch size, after a
resume, and whatever other streams there are.

Shape suffixes: N items of a stream, L their latent tokens, C latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch

FLOW_TIME = int.from_bytes(b"flow time")
"""Purpose key of the flow times."""

NOISE = int.from_bytes(b"noise")
"""Purpose key of the noise."""


def draw_noise(batch: PackedBatch, stream: str, seed: int) -> Tensor:
    """Standard normal noise for every latent token of a stream's items: float32 [L, C]."""
    channels = batch.streams[stream].channels
    tokens_N = batch.slots[stream].tokens_N.cpu().numpy()
    parts = [np.empty((0, channels), np.float32)]
    for random, items in _rows(batch, stream, seed, NOISE):
        parts.append(random.standard_normal((tokens_N[items].sum(), channels), dtype=np.float32))
    return torch.from_numpy(np.concatenate(parts)).to(batch.ids_BT.device, non_blocking=True)


def draw_times(batch: PackedBatch, stream: str, seed: int, distribution: str) -> Tensor:
    """One base flow time per item of a stream, before any shift: float32 [N] in (0, 1).

    ``uniform``, or ``logit_normal``: the logistic function of a standard normal number.
    """
    parts: list[np.ndarray] = [np.empty(0, np.float32)]
    for random, items in _rows(batch, stream, seed, FLOW_TIME):
        if distribution == "uniform":
            parts.append(random.random(len(items), dtype=np.float32))
        else:
            normal = random.standard_normal(len(items), dtype=np.float32)
            parts.append(1 / (1 + np.exp(-normal)))
    return torch.from_numpy(np.concatenate(parts)).to(batch.ids_BT.device, non_blocking=True)


def _rows(
    batch: PackedBatch, stream: str, seed: int, purpose: int
) -> Iterator[tuple[np.random.Generator, np.ndarray]]:
    """Each row's random numbers and the places of its items; items are listed by row."""
    row_N = batch.slots[stream].row_N.cpu().numpy()
    for row, own in enumerate(zip(batch.lane_B.tolist(), batch.number_B.tolist(), strict=True)):
        items = np.flatnonzero(row_N == row)
        if len(items):
            yield np.random.default_rng([seed, *own, purpose, *batch.streams[stream].key]), items
