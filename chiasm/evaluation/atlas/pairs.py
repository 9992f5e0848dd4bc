"""Experts that are chosen together more often than their loads explain.

A position of k experts makes k·(k - 1) / 2 pairs. No pair holds an expert twice, so that plain
independence cannot be had; its place is taken by quasi-independence (Goodman 1968),

    expected_ij = q_i · q_j   for i ≠ j,   0 for i = j,

with q such that every expert is in as many pairs as it really was. Modalities are apart: two
experts of text are together often for no other reason than that both serve text.

Shape suffixes: Q blocks with a router, R routed experts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.evaluation.atlas.observation import Observation

TOP_PAIRS = 5
"""Number of pairs that are listed for each block and modality."""

FITTING_STEPS = 200


@dataclass(frozen=True)
class Pair:
    """Two experts that are chosen together more often than expected."""

    experts: tuple[int, int]
    observed: float
    """Observed share of the block's pairs."""
    expected: float
    """Expected share under quasi-independence."""


@dataclass(frozen=True)
class Pairs:
    """Co-activation of one block and modality."""

    modality: str
    block: int
    """Number among the blocks with a router, from 0."""
    moved: float
    """Share of pairs that would have to change to be quasi-independent; 0 is independent."""
    top: tuple[Pair, ...]
    """Largest excess of observed over expected first."""


def quasi_independent(observed_RR: np.ndarray) -> np.ndarray:
    """Returns quasi-independent shares with the row sums of ``observed_RR``, of zero diagonal."""
    target_R = observed_RR.sum(axis=1)
    expected_RR = 1.0 - np.eye(len(target_R))
    for _ in range(FITTING_STEPS):  # iterative proportional fitting, both sides at once
        rows_R = expected_RR.sum(axis=1)
        scale_R = np.sqrt(np.divide(target_R, rows_R, out=np.zeros_like(rows_R), where=rows_R > 0))
        expected_RR *= np.outer(scale_R, scale_R)
    return expected_RR


def measure_pairs(observed: Observation) -> list[Pairs]:
    """Returns the pairs of every block and modality; none if positions choose one routed expert."""
    return [
        _pairs(modality, block, count_RR)
        for modality, count_QRR in zip(observed.modalities, observed.pairs_XQRR, strict=True)
        for block, count_RR in enumerate(count_QRR)
        if observed.choices > 1 and count_RR.any()
    ]


def _pairs(modality: str, block: int, count_RR: np.ndarray) -> Pairs:
    both_RR = count_RR - np.diag(np.diag(count_RR))
    observed_RR = both_RR / both_RR.sum()
    expected_RR = quasi_independent(observed_RR)
    excess_RR = observed_RR - expected_RR
    first, second = np.triu_indices(len(excess_RR), k=1)
    best = np.argsort(-excess_RR[first, second], kind="stable")[:TOP_PAIRS]
    # A pair stands twice in the symmetric table.
    top = tuple(
        Pair((int(a), int(b)), 2 * float(observed_RR[a, b]), 2 * float(expected_RR[a, b]))
        for a, b in zip(first[best], second[best], strict=True)
        if excess_RR[a, b] > 0
    )
    return Pairs(modality, block, float(np.abs(excess_RR).sum() / 2), top)
