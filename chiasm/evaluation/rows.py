"""Rows of the report's table: a number, its standard error, and the baseline that it must beat."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from chiasm.intervals import Better, Verdict, clustered_mean, decide, paired_difference

SEPARATION = 2.0
"""A difference counts when it exceeds this many of its standard errors."""


@dataclass(frozen=True)
class Row:
    """One measured number beside its baseline; differences are value minus baseline, paired."""

    section: str
    name: str
    value: float
    standard_error: float
    """Standard error, clustered by map."""
    unit: str
    better: Better
    seed: int
    num_items: int
    num_clusters: int
    baseline: float | None = None
    baseline_name: str | None = None
    difference: float | None = None
    difference_se: float | None = None
    headline: bool = False
    """Whether it stands at the top of the page."""

    @property
    def verdict(self) -> Verdict:
        """Whether the model beats the baseline by more than two standard errors."""
        if self.difference is None or self.difference_se is None:
            return Verdict.SHOWN
        return decide(self.difference, SEPARATION * self.difference_se, self.better)


@dataclass(frozen=True)
class Measurement:
    """Per-item numbers of one measure, which rows are made from."""

    section: str
    unit: str
    better: Better
    seed: int
    clusters: Sequence[object] | np.ndarray
    """Map of each item."""
    weights: np.ndarray | None = None
    """Denominators, for example bytes; None counts each item once."""

    def row(
        self,
        name: str,
        values: ArrayLike,
        baseline: ArrayLike | None = None,
        baseline_name: str | None = None,
        *,
        headline: bool = False,
    ) -> Row:
        """Returns the estimate of ``values`` [items], paired with ``baseline`` [items] if given.

        Where the baseline has no number for an item (nan), both are estimated from the others, and
        the row says so.
        """
        there = np.full(len(self.clusters), True)
        if baseline is not None:
            there = ~np.isnan(np.asarray(baseline, np.float64))
        if not there.all():
            return self._part(there).row(
                f"{name}, where there are {baseline_name}",
                np.asarray(values)[there],
                np.asarray(baseline)[there],
                baseline_name,
                headline=headline,
            )
        own = clustered_mean(values, self.clusters, self.weights)
        row = Row(
            section=self.section,
            name=name,
            value=own.value,
            standard_error=own.standard_error,
            unit=self.unit,
            better=self.better,
            seed=self.seed,
            num_items=own.num_items,
            num_clusters=own.num_clusters,
            headline=headline,
        )
        if baseline is None:
            return row
        paired = paired_difference(values, baseline, self.clusters, self.weights)
        return replace(
            row,
            baseline=clustered_mean(baseline, self.clusters, self.weights).value,
            baseline_name=baseline_name,
            difference=paired.value,
            difference_se=paired.standard_error,
        )

    def _part(self, chosen: np.ndarray) -> Measurement:
        weights = None if self.weights is None else self.weights[chosen]
        return replace(self, clusters=np.asarray(self.clusters)[chosen], weights=weights)

    def rows(
        self,
        name: str,
        values: ArrayLike,
        baselines: Mapping[str, ArrayLike],
        headlines: Collection[str] = (),
    ) -> list[Row]:
        """Returns a row against each baseline; ``headlines`` are for the top of the page."""
        return [
            self.row(name, values, each, baseline, headline=baseline in headlines)
            for baseline, each in baselines.items()
        ]
