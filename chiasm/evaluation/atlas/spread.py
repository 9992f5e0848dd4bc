"""Variation of the choice of experts between groups of positions, beside what chance gives.

The measure is the coefficient of variation: for each expert, the standard deviation over groups of
its selection rate, over its mean; then a weighted mean over experts. Rates of finite counts vary by
chance, and more so for experts that are seldom used, so that the number stands beside two others:

- multinomial: as many assignments in each group, every one drawn anew at the mean rates;
- shuffled: the same counts, with the group labels shuffled among the parts of a document (or among
  documents). The choices of one image's positions are correlated, which only this one accounts for.

Neither is always the larger. Where a document's groups hold the same positions, as tenths of flow
time do, shuffling moves little; and where groups differ in size, it evens them out, so that no
small group with noisy rates remains. A value counts as more than chance only above 97.5 % of both.

Shape suffixes: C cells (a document's positions of one group), G groups, Q blocks with a router, R
routed experts, S repetitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from chiasm.evaluation.atlas.observation import Table

REPETITIONS = 100
"""Number of draws for each kind of chance."""

HIGH = 0.975
"""Quantile of both kinds of chance that a value must exceed to count as more than chance."""


class Excess(StrEnum):
    """Verdict on a value beside both kinds of chance."""

    MORE = "more than chance"
    ONE = "above one chance alone"
    """No claim is made from such a value."""
    CHANCE = "as by chance"
    UNKNOWN = "no such expert"


@dataclass(frozen=True)
class Cells:
    """Counts that belong to one group each."""

    groups: tuple[str, ...]
    count_CQR: np.ndarray
    """Assignments, float64 for matrix products."""
    positions_C: np.ndarray
    group_C: np.ndarray
    block_C: np.ndarray
    """Number of the block within which groups are shuffled."""

    @classmethod
    def within_documents(cls, table: Table) -> Cells:
        """Returns the table's cells; groups are shuffled inside each document."""
        document_C, group_C = np.nonzero(table.positions_DG)
        return cls(
            table.groups,
            table.count_DGQR[document_C, group_C].astype(np.float64),
            table.positions_DG[document_C, group_C],
            group_C,
            document_C,
        )

    @classmethod
    def of_documents(
        cls,
        groups: tuple[str, ...],
        count_DQR: np.ndarray,
        positions_D: np.ndarray,
        group_D: np.ndarray,
    ) -> Cells:
        """Returns documents as cells; groups are shuffled among all of them."""
        seen = positions_D > 0
        return cls(
            groups,
            count_DQR[seen].astype(np.float64),
            positions_D[seen],
            group_D[seen],
            np.zeros(int(seen.sum()), np.int64),
        )

    def rates(self, group_C: np.ndarray, choices: int) -> np.ndarray:
        """Returns rates under these groups: float64 [G, Q, R]; groups without a cell drop out."""
        member_GC = (group_C == np.unique(group_C)[:, None]).astype(np.float64)
        count_GQR = np.tensordot(member_GC, self.count_CQR, axes=1)
        return count_GQR / (member_GC @ self.positions_C * choices)[:, None, None]

    def shuffled(self, random: np.random.Generator) -> np.ndarray:
        """Returns the groups, shuffled inside their blocks: int64 [C]."""
        # Both orders sort by block, the second at random within one: matching them permutes each
        # block.
        order = np.argsort(self.block_C, kind="stable")
        again = np.lexsort((random.random(len(order)), self.block_C))
        group_C = np.empty_like(self.group_C)
        group_C[order] = self.group_C[again]
        return group_C


@dataclass(frozen=True)
class Spread:
    """Coefficients of variation [Q]; nan in a block where no expert has a weight."""

    groups: tuple[str, ...]
    """Groups that have positions."""
    rate_GQR: np.ndarray
    value_Q: np.ndarray
    multinomial_Q: np.ndarray
    """Mean over independent draws."""
    multinomial_high_Q: np.ndarray
    """97.5 % quantile of these."""
    shuffled_Q: np.ndarray
    """Mean over shuffled groups."""
    shuffled_high_Q: np.ndarray
    """97.5 % quantile of these."""

    @property
    def verdicts(self) -> tuple[Excess, ...]:
        """Verdict on each block."""
        above_2Q = self.value_Q > np.stack([self.multinomial_high_Q, self.shuffled_high_Q])
        by_number = (Excess.CHANCE, Excess.ONE, Excess.MORE)
        return tuple(
            Excess.UNKNOWN if np.isnan(value) else by_number[number]
            for value, number in zip(self.value_Q, above_2Q.sum(axis=0), strict=True)
        )


def variation(rate_GQR: np.ndarray, weight_QR: np.ndarray) -> np.ndarray:
    """Returns the coefficient of variation over groups, a weighted mean over experts: float64 [Q].

    An expert that no group uses has no coefficient and no weight.
    """
    mean_QR = rate_GQR.mean(axis=0)
    used = mean_QR > 0
    own_QR = np.divide(rate_GQR.std(axis=0), mean_QR, out=np.zeros_like(mean_QR), where=used)
    total_Q = (weight_QR * used).sum(axis=1)
    summed_Q = (own_QR * weight_QR * used).sum(axis=1)
    return np.divide(summed_Q, total_Q, out=np.full(len(total_Q), np.nan), where=total_Q > 0)


def measure_spread(
    cells: Cells, choices: int, seed: int, weight_QR: np.ndarray | None = None
) -> Spread | None:
    """Returns how much the cells' groups differ; None for fewer than two groups with positions.

    Args:
        cells: counts by group.
        choices: number of experts that a position chooses.
        seed: of the draws and shuffles.
        weight_QR: of the experts; None weighs each by its share of assignments.
    """
    present, number_C = np.unique(cells.group_C, return_inverse=True)
    if len(present) < 2:
        return None
    rate_GQR = cells.rates(cells.group_C, choices)
    count_QR = cells.count_CQR.sum(axis=0)
    share_QR = count_QR / count_QR.sum(axis=1, keepdims=True)
    weight_QR = share_QR if weight_QR is None else weight_QR
    random = np.random.default_rng(seed)
    assignments_G = np.bincount(number_C, cells.positions_C).astype(np.int64) * choices
    drawn, shuffled = [], []
    for _ in range(REPETITIONS):
        count_GQR = random.multinomial(assignments_G[:, None], share_QR[None])
        drawn.append(variation(count_GQR / assignments_G[:, None, None], weight_QR))
        shuffled.append(variation(cells.rates(cells.shuffled(random), choices), weight_QR))
    return Spread(
        groups=tuple(cells.groups[group] for group in present),
        rate_GQR=rate_GQR,
        value_Q=variation(rate_GQR, weight_QR),
        multinomial_Q=np.mean(drawn, axis=0),
        multinomial_high_Q=np.quantile(drawn, HIGH, axis=0),
        shuffled_Q=np.mean(shuffled, axis=0),
        shuffled_high_Q=np.quantile(shuffled, HIGH, axis=0),
    )
