"""Noise, flow times and steps of shortcuts, keyed by what they belong to.

An item's draws depend on (seed, lane, row number, purpose, stream) and on its place among the row's
items of the stream alone: they are the same on any number of ranks, for any batch size, after a
resume, and whatever other streams there are.

Shape suffixes: N items of a stream, L their latent tokens, C latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.model.work import SHORTCUT_ROWS

FLOW_TIME = int.from_bytes(b"flow time")
"""Purpose key of the flow times."""

NOISE = int.from_bytes(b"noise")
"""Purpose key of the noise."""

SHORTCUT = int.from_bytes(b"shortcut")
"""Purpose key of the steps of shortcuts."""


class Steps(NamedTuple):
    """A step of the solver for each item of a stream, as shares of the whole way, before any
    shift of flow times."""

    begin_N: Tensor
    """float32: where it begins."""
    size_N: Tensor
    """float32: how far it leads; 0 for items that have none."""


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


def has_shortcuts(batch: PackedBatch) -> bool:
    """Whether a row of the batch is trained on shortcuts: the answer of all ranks alike, whose rows
    have equal numbers."""
    return any(number % SHORTCUT_ROWS == 0 for number in batch.number_B.tolist())


def draw_steps(batch: PackedBatch, seed: int, most: int) -> dict[str, Steps]:
    """Steps of one target of each document in every :data:`SHORTCUT_ROWS`-th row of a lane.

    A step is one of 1, 2, 4, … equal ones, fewer than ``most``. A document has a single one, in
    one of its streams: while an item moves, all that it sees stays where it is.
    """
    names = batch.streams.names
    drawn = [_draw_steps(batch, name, seed, most.bit_length() - 1) for name in names]
    turn_N, document_N = (
        np.concatenate(own) for own in zip(*((turn, of) for _, turn, of in drawn), strict=True)
    )
    order_N = np.argsort(turn_N, kind="stable")
    _, first = np.unique(document_N[order_N], return_index=True)
    chosen_N = np.zeros(len(turn_N), np.float32)
    chosen_N[order_N[first]] = 1
    device, steps = batch.ids_BT.device, {}
    for name, ((begin_N, size_N), _, _) in zip(names, drawn, strict=True):
        own_N, chosen_N = np.split(chosen_N, [len(size_N)])
        both = (torch.from_numpy(each) for each in (begin_N, size_N * own_N))
        steps[name] = Steps(*(each.to(device, non_blocking=True) for each in both))
    return steps


def _draw_steps(
    batch: PackedBatch, stream: str, seed: int, sizes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beginnings and sizes [2, N], 0 where there is to be no step; turns and documents [N] of the
    items: who has the first turn of a document has its step."""
    slots, number_B = batch.slots[stream], batch.number_B.cpu().numpy()
    row_N, start_N, target_N = (
        own.cpu().numpy() for own in (slots.row_N, slots.start_N, slots.target_N)
    )
    drawn, turn_N = np.zeros((2, len(row_N)), np.float32), np.ones(len(row_N), np.float32)
    for random, items in _rows(batch, stream, seed, SHORTCUT):
        steps = 2 ** random.integers(sizes, size=len(items))
        drawn[:, items] = random.integers(steps) / steps, 1 / steps
        turn_N[items] = random.random(len(items), dtype=np.float32)
    asked_N = target_N & (number_B[row_N] % SHORTCUT_ROWS == 0)
    drawn[:, ~asked_N], turn_N[~asked_N] = 0, 1
    document_N = batch.document_BT.cpu().numpy()[row_N, start_N]
    return drawn, turn_N, row_N * batch.num_positions + document_N


def _rows(
    batch: PackedBatch, stream: str, seed: int, purpose: int
) -> Iterator[tuple[np.random.Generator, np.ndarray]]:
    """Each row's random numbers and the places of its items; items are listed by row."""
    row_N = batch.slots[stream].row_N.cpu().numpy()
    for row, own in enumerate(zip(batch.lane_B.tolist(), batch.number_B.tolist(), strict=True)):
        items = np.flatnonzero(row_N == row)
        if len(items):
            yield np.random.default_rng([seed, *own, purpose, *batch.streams[stream].key]), items
