"""Means with standard errors clustered by map.

Frames of one map share its walls, its light and its places, so they are not independent: the map
is the unit that was sampled. Every number of an evaluation is a ratio of sums over items,

    R = sum_i y_i / sum_i x_i            (x_i = 1 for a plain mean, bytes for bits per byte),

and its standard error is the cluster-robust one of the linearised ratio, with the small-sample
factor G / (G - 1) for G clusters (Cameron and Miller 2015, equation 11, specialised to a ratio):

    e_i = y_i - R x_i,      se² = G / (G - 1) · sum_g (sum_{i in g} e_i)² / (sum_i x_i)².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Estimate:
    """A mean (or ratio of sums), its standard error and what it was measured on."""

    value: float
    standard_error: float
    """Clustered; nan when all items share one cluster, because then nothing can be said."""
    num_items: int
    num_clusters: int


def clustered_mean(
    values: ArrayLike, clusters: Sequence[object] | np.ndarray, weights: ArrayLike | None = None
) -> Estimate:
    """Sum of ``values`` over sum of ``weights`` (1 for each item by default).

    Args:
        values: numbers [items].
        clusters: the map of each item; any hashable, sortable name.
        weights: the denominators [items], for example bytes.

    Raises:
        ValueError: for no items, or lists of different lengths.
    """
    y = np.asarray(values, dtype=np.float64)
    x = np.ones_like(y) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(y) or not len(y) == len(x) == len(clusters):
        raise ValueError(f"{len(y)} values, {len(x)} weights and {len(clusters)} clusters")
    total = x.sum()
    ratio = y.sum() / total
    _, number = np.unique(np.asarray(clusters), return_inverse=True)
    cluster_residual = np.bincount(number, weights=y - ratio * x)
    count = len(cluster_residual)
    error = math.nan
    if count > 1:
        error = math.sqrt(count / (count - 1) * float((cluster_residual**2).sum())) / total
    return Estimate(float(ratio), float(error), len(y), count)


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    clusters: Sequence[object] | np.ndarray,
    weights: ArrayLike | None = None,
) -> Estimate:
    """``clustered_mean`` of value minus baseline, item by item.

    The pairing takes out what makes an item hard for both sides.
    """
    difference = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    return clustered_mean(difference, clusters, weights)
