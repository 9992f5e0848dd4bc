"""A checked table as arrays, for the fits, and the measure of N.

Active parameters are those that one token uses, embeddings and heads included. In small models
these cost memory and few FLOPs, so FLOPs per token grow faster than N, and exponents in N are not
those of models for which C = 6·N·D. A sixth of the FLOPs per token is such an N for every model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from chiasm.scaling.budgets import budgets_of, groups_of
from chiasm.scaling.checks import check_points
from chiasm.scaling.law import Array, Cost, geometric_mean
from chiasm.scaling.points import Point


class SizeMeasure(StrEnum):
    """The measure of N in a fit."""

    PARAMETERS = "parameters"
    COMPUTE = "compute"

    @property
    def label(self) -> str:
        """Text for tables and axes."""
        return "active parameters" if self is SizeMeasure.PARAMETERS else "C / (6·D)"


@dataclass(frozen=True)
class Runs:
    """A checked table as arrays over its runs [n]."""

    cells: tuple[str, ...]
    places: Array
    """Number of each run's cell: runs of one size at one budget differ by their seed only."""
    budgets: Array
    """Budget of each run; nan where the table has none."""
    groups: Array
    """Groups for leave-one-out errors: budgets, or quantiles of compute."""
    sizes: Array
    """N, by the chosen measure."""
    tokens: Array
    flops: Array
    losses: Mapping[str, Array]

    @classmethod
    def of(cls, points: Sequence[Point], size: SizeMeasure = SizeMeasure.PARAMETERS) -> Runs:
        """Returns the arrays of a table, after :func:`chiasm.scaling.checks.check_points`."""
        check_points(points)
        budgets = budgets_of(points)
        sizes, tokens, flops = (
            np.array([getattr(point, name) for point in points])
            for name in ("active_parameters", "tokens", "flops")
        )
        at = np.where(np.isfinite(budgets), budgets, flops)
        _, places = np.unique(np.stack([at, sizes]), axis=1, return_inverse=True)
        places = places.reshape(-1)
        if size is SizeMeasure.COMPUTE:
            # Seeds of a cell read other rows; the shape has one cost all the same.
            per_token = np.log(flops / (6 * tokens))
            means = np.bincount(places, per_token) / np.bincount(places)
            sizes = np.exp(means[places])
        return cls(
            cells=tuple(point.cell for point in points),
            places=places,
            budgets=budgets,
            groups=groups_of(budgets, flops),
            sizes=sizes,
            tokens=tokens,
            flops=flops,
            losses={
                modality: np.array([point.losses[modality] for point in points])
                for modality in points[0].losses
            },
        )

    def only(self, chosen: Array) -> Runs:
        """Returns the runs of a mask [n]."""
        arrays = ("places", "budgets", "groups", "sizes", "tokens", "flops")
        return Runs(
            cells=tuple(cell for cell, kept in zip(self.cells, chosen, strict=True) if kept),
            losses={name: losses[chosen] for name, losses in self.losses.items()},
            **{name: getattr(self, name)[chosen] for name in arrays},
        )

    @property
    def has_budgets(self) -> bool:
        """Whether runs come in budgets."""
        return bool(np.isfinite(self.budgets).all())

    @property
    def c0(self) -> float:
        """Geometric mean of the groups, at which levels are given."""
        return geometric_mean(np.unique(self.groups))

    def cost(self, size: SizeMeasure) -> Cost:
        """Returns the FLOPs of a token as a function of N."""
        if size is SizeMeasure.COMPUTE:
            return Cost(kappa=6.0, gamma=1.0, deviation=0.0)
        return Cost.of(self.sizes, self.tokens, self.flops)
