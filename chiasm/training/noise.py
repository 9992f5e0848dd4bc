"""Noise and flow times, keyed by what they belong to.

A row's draws depend on (seed, lane, row number, purpose) alone: they are the same on any number
of ranks, for any batch size, and after a resume.

Shape suffixes: N images, L latent tokens of all images, C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch

FLOW_TIME = int.from_bytes(b"flow time")
"""Purpose key of the flow times."""

NOISE = int.from_bytes(b"noise")
"""Purpose key of the noise."""


def draw_noise(batch: PackedBatch, seed: int, channels: int) -> Tensor:
    """Standard normal noise for every latent token of the batch: float32 [L, C]."""
    tokens_N = batch.images.tokens_N.cpu().numpy()

    def of_row(random: np.random.Generator, images: np.ndarray) -> np.ndarray:
        return random.standard_normal((tokens_N[images].sum(), channels), dtype=np.float32)

    return _draw(batch, seed, NOISE, of_row, np.empty((0, channels), np.float32))


def draw_times(batch: PackedBatch, seed: int, distribution: str) -> Tensor:
    """One base flow time per image, before any shift: float32 [N] in (0, 1).

    ``uniform``, or ``logit_normal``: the logistic function of a standard normal number.
    """

    def of_row(random: np.random.Generator, images: np.ndarray) -> np.ndarray:
        if distribution == "uniform":
            return random.random(len(images), dtype=np.float32)
        return 1 / (1 + np.exp(-random.standard_normal(len(images), dtype=np.float32)))

    return _draw(batch, seed, FLOW_TIME, of_row, np.empty(0, np.float32))


def _draw(
    batch: PackedBatch,
    seed: int,
    purpose: int,
    of_row: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    empty: np.ndarray,
) -> Tensor:
    """Draw row by row; a batch lists its images by row, so the parts follow each other."""
    row_N = batch.images.row_N.cpu().numpy()
    parts = [empty]
    for row in np.unique(row_N):
        key = [seed, int(batch.lane_B[row]), int(batch.number_B[row]), purpose]
        parts.append(of_row(np.random.default_rng(key), np.flatnonzero(row_N == row)))
    return torch.from_numpy(np.concatenate(parts)).to(batch.ids_BT.device, non_blocking=True)
