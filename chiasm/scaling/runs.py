"""A checked table as arrays, for the fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.scaling.checks import check_points
from chiasm.scaling.law import Array
from chiasm.scaling.points import Point, budgets_of


@dataclass(frozen=True)
class Runs:
    """A checked table as arrays over its runs [n]."""

    cells: tuple[str, ...]
    budgets: Array
    sizes: Array
    tokens: Array
    flops: Array
    losses: Mapping[str, Array]

    @classmethod
    def of(cls, points: Sequence[Point]) -> Runs:
        """Refuses what :func:`chiasm.scaling.checks.check_points` refuses."""
        check_points(points)
        return cls(
            cells=tuple(point.cell for point in points),
            budgets=np.array(budgets_of(points)),
            sizes=np.array([point.active_parameters for point in points]),
            tokens=np.array([point.tokens for point in points]),
            flops=np.array([point.flops for point in points]),
            losses={
                modality: np.array([point.losses[modality] for point in points])
                for modality in points[0].losses
            },
        )

    def only(self, chosen: Array) -> Runs:
        """The runs of a mask [n]."""
        return Runs(
            tuple(cell for cell, kept in zip(self.cells, chosen, strict=True) if kept),
            self.budgets[chosen],
            self.sizes[chosen],
            self.tokens[chosen],
            self.flops[chosen],
            {name: losses[chosen] for name, losses in self.losses.items()},
        )

    @property
    def c0(self) -> float:
        """Geometric mean of the budgets: where levels are told."""
        return float(np.exp(np.log(np.unique(self.budgets)).mean()))
