"""Intervals from clusters drawn again with replacement.

Documents of one map share its walls and its light, so the map is the unit that is drawn, as in
:mod:`chiasm.evaluation.clusters`. Routing rates are ratios of sums over documents; a resample
weighs each cluster by how often it was drawn.

Shape suffixes: D documents, C clusters, S resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 500
"""Of every interval."""

LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Interval:
    """Estimates, and between what they lie in 95 % of the resamples."""

    value: np.ndarray
    low: np.ndarray
    """nan where there is one cluster alone."""
    high: np.ndarray

    @classmethod
    def of(cls, value: np.ndarray, samples: np.ndarray) -> Interval:
        """From resamples [S, ...] of ``value`` [...]; those that are not finite are left out."""
        low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
        for place in np.ndindex(value.shape):
            own = samples[(slice(None), *place)]
            own = own[np.isfinite(own)]
            if len(own) > 1:
                low[place], high[place] = np.quantile(own, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(value, low, high)


@dataclass(frozen=True)
class Resamples:
    """How often each cluster is drawn in each resample."""

    weight_SC: np.ndarray
    number_D: np.ndarray
    """int64: the cluster of each document, from 0."""

    @classmethod
    def draw(cls, cluster_D: np.ndarray, seed: int) -> Resamples:
        """As many clusters as there are, with replacement; none from a single cluster."""
        names, number_D = np.unique(cluster_D, return_inverse=True)
        count = len(names)
        random = np.random.default_rng(seed)
        size = RESAMPLES if count > 1 else 0
        weight_SC = random.multinomial(count, np.full(count, 1 / count), size=size)
        return cls(weight_SC.astype(np.float64), number_D)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums [S, ...] over the documents of each resample, of numbers [D, ...]."""
        of_cluster = np.zeros((self.weight_SC.shape[1], *values.shape[1:]))
        np.add.at(of_cluster, self.number_D, values)
        return np.tensordot(self.weight_SC, of_cluster, axes=1)
