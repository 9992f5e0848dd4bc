"""Sound at another sampling rate: a polyphase filter, a sinc under a Kaiser window.

Output n stands at n·down/up input samples, where up/down is the ratio of the rates in lowest terms;
``samples`` input samples become ceil(samples · up / down). The sound is silent around its ends.

Shape suffixes: C channels, T samples, U phases of the filter, K taps of one phase, N outputs.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

ZERO_CROSSINGS = 24
"""Of the sinc on each side of its middle."""
ROLLOFF = 0.94
"""Frequency of the filter's edge relative to half the lower rate: a tone above half is gone."""
KAISER_BETA = 9.0
"""Of the window: about -90 dB beside the edge."""

_LEAST_OUTPUTS = 64
"""Outputs that one row of the matrix product makes at least."""
_LARGEST_MATRIX = 1 << 21
_OUTPUTS_AT_ONCE = 1 << 14


def ratio(rate: int, wanted: int) -> tuple[int, int]:
    """Returns up and down: how many outputs stand for how many inputs, in lowest terms."""
    divisor = math.gcd(rate, wanted)
    return wanted // divisor, rate // divisor


def reach(rate: int, wanted: int) -> int:
    """Returns how many input samples on each side an output depends on; 0 for equal rates."""
    if rate == wanted:
        return 0
    return math.ceil(ZERO_CROSSINGS / (ROLLOFF * min(1.0, wanted / rate)))


def resampled(x_CT: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Returns samples at the wanted rate, float32 [C, ceil(T · wanted / rate)]."""
    if rate == wanted:
        return x_CT
    up, down = ratio(rate, wanted)
    num_outputs = -(-x_CT.shape[1] * up // down)
    blocks = -(-_LEAST_OUTPUTS // up)
    half = reach(rate, wanted)
    if blocks * up * (blocks * down + 2 * half) <= _LARGEST_MATRIX:
        return _by_matrix(x_CT, up, down, half, blocks, num_outputs)
    return _by_taps(x_CT, up, down, half, num_outputs)


def _by_matrix(
    x_CT: np.ndarray, up: int, down: int, half: int, blocks: int, num_outputs: int
) -> np.ndarray:
    """Every ``blocks · up`` outputs depend on inputs in the same way: one matrix makes them."""
    matrix = _matrix(up, down, half, blocks)
    rows = -(-num_outputs // (blocks * up))
    padded = _padded(x_CT, half, rows * blocks * down + 2 * half)
    stretches = sliding_window_view(padded, len(matrix), axis=1)[:, :: blocks * down][:, :rows]
    made = np.ascontiguousarray(stretches) @ matrix
    return made.reshape(len(x_CT), -1)[:, :num_outputs]


def _by_taps(x_CT: np.ndarray, up: int, down: int, half: int, num_outputs: int) -> np.ndarray:
    """For rates without a small common ratio, output by output."""
    table_UK = _table(up, down, half)
    padded = _padded(x_CT, half, x_CT.shape[1] + 2 * half + 1)
    taps_CTK = sliding_window_view(padded, table_UK.shape[1], axis=1)
    parts = []
    for begin in range(0, num_outputs, _OUTPUTS_AT_ONCE):
        place_N = np.arange(begin, min(begin + _OUTPUTS_AT_ONCE, num_outputs)) * down
        weights_NK = table_UK[place_N % up]
        parts.append(np.einsum("cnk,nk->cn", taps_CTK[:, place_N // up], weights_NK))
    return np.concatenate(parts, axis=1)


def _padded(x_CT: np.ndarray, half: int, length: int) -> np.ndarray:
    """Returns the samples behind half - 1 zeros, and zeros up to the length."""
    padded = np.zeros((len(x_CT), max(length, half - 1 + x_CT.shape[1])), dtype=np.float32)
    padded[:, half - 1 : half - 1 + x_CT.shape[1]] = x_CT
    return padded


@lru_cache(maxsize=16)
def _matrix(up: int, down: int, half: int, blocks: int) -> np.ndarray:
    """Returns float32 [inputs of a block, outputs of a block]."""
    table_UK = _table(up, down, half)
    matrix = np.zeros((blocks * down + 2 * half, blocks * up), dtype=np.float32)
    for output in range(blocks * up):
        first, phase = divmod(output * down, up)
        matrix[first : first + 2 * half, output] = table_UK[phase]
    return matrix


@lru_cache(maxsize=16)
def _table(up: int, down: int, half: int) -> np.ndarray:
    """Returns the filter by phase, float32 [U, K = 2 half]; a constant stays what it is."""
    scale = ROLLOFF * min(1.0, up / down)
    tap_K = np.arange(1 - half, half + 1)
    distance_UK = np.arange(up)[:, None] / up - tap_K
    inside = np.clip(1 - (distance_UK * scale / ZERO_CROSSINGS) ** 2, 0, None)
    window_UK = np.where(inside > 0, np.i0(KAISER_BETA * np.sqrt(inside)), 0)
    table_UK = np.sinc(distance_UK * scale) * window_UK
    return (table_UK / table_UK.sum(axis=1, keepdims=True)).astype(np.float32)
