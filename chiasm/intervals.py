"""Estimates with standard errors and intervals, and verdicts on differences.

The source of an interval depends on what is sampled:

- items of an evaluation: frames of one map share its walls, its light and its places, so that the
  map is the unit that was sampled. Every number is a ratio of sums over items,
  R = sum_i y_i / sum_i x_i (x_i = 1 for a plain mean, bytes for bits per byte), and its standard
  error is the cluster-robust one of the linearised ratio, with the small-sample factor G / (G - 1)
  for G clusters (Cameron and Miller 2015, equation 11, specialised to a ratio):

      e_i = y_i - R x_i,      se² = G / (G - 1) · sum_g (sum_{i in g} e_i)² / (sum_i x_i)²

- seeds of a study: Student's t with n - 1 degrees of freedom
- anything that is computed from resamples: their quantiles; :class:`Resamples` draws clusters

Shape suffixes: D documents, C clusters, S resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean, stdev
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Number = TypeVar("Number", float, Array)

LEVEL = 0.95
"""Confidence level of every interval."""

RESAMPLES = 500
"""Number of resamples of clusters."""

Better = Literal["higher", "lower"]


class Verdict(StrEnum):
    """Verdict of a comparison with a baseline."""

    BEATS = "beats"
    NOT_SEPARATED = "not separated"
    WORSE = "worse"
    SHOWN = "shown"
    """There is no baseline: the number is only shown."""


def decide(difference: float, margin: float, better: Better) -> Verdict:
    """Returns the verdict on value minus baseline, which counts if it exceeds the margin.

    An unknown margin never separates.
    """
    if not abs(difference) > margin:  # nor where either is nan
        return Verdict.NOT_SEPARATED
    improved = difference > 0 if better == "higher" else difference < 0
    return Verdict.BEATS if improved else Verdict.WORSE


@dataclass(frozen=True)
class Interval(Generic[Number]):
    """A number, or an array of them, with the limits of its 95 % interval."""

    value: Number
    low: Number
    """NaN if there is no interval."""
    high: Number

    @classmethod
    def of(cls, value: Array, samples: Array) -> Interval[Array]:
        """Returns the interval of resamples [S, ...] of ``value`` [...]; only finite ones count."""
        ends = [_limits(own) for own in samples.reshape(len(samples), value.size).T]
        low, high = np.moveaxis(np.reshape(ends, (*value.shape, 2)), -1, 0)
        return Interval(value, low, high)

    def holds(self, value: float) -> bool:
        """Returns whether a value lies inside."""
        return bool(self.low <= value <= self.high)

    @property
    def is_known(self) -> bool:
        """Whether both limits are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Estimate(Interval[float]):
    """A number with its standard error and interval."""

    standard_error: float

    @classmethod
    def of_samples(
        cls, value: float, samples: Array, standard_error: float | None = None
    ) -> Estimate:
        """Returns the estimate from resamples [S]; only finite ones count.

        ``standard_error`` replaces the resamples' own deviation.
        """
        low, high = _limits(samples)
        if math.isnan(low):
            return cls(float(value), np.nan, np.nan, np.nan)
        if standard_error is None:
            standard_error = float(samples[np.isfinite(samples)].std(ddof=1))
        return cls(float(value), low, high, standard_error)

    def to_json(self) -> dict[str, float | None]:
        """Returns the four numbers by name; None for unknown ones."""
        names = ("value", "standard_error", "low", "high")
        return {name: known(getattr(self, name)) for name in names}


def known(value: float) -> float | None:
    """Returns the value for JSON: None if it is NaN or infinite."""
    return value if math.isfinite(value) else None


def _limits(samples: Array) -> tuple[float, float]:
    """Returns the limits over finite samples [S]; NaN if these are fewer than two."""
    finite = samples[np.isfinite(samples)]
    if len(finite) < 2:
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class ClusteredMean:
    """A mean (or ratio of sums), its standard error, and the numbers of items and clusters."""

    value: float
    standard_error: float
    """NaN if all items share one cluster, which has no variance to estimate from."""
    num_items: int
    num_clusters: int


def clustered_mean(
    values: ArrayLike, clusters: Sequence[object] | Array, weights: ArrayLike | None = None
) -> ClusteredMean:
    """Computes the sum of ``values`` over the sum of ``weights`` (1 per item by default).

    Args:
        values: numbers [items].
        clusters: the cluster of each item, such as its map; any hashable, sortable names.
        weights: denominators [items], for example bytes.

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
    return ClusteredMean(float(ratio), float(error), len(y), count)


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    clusters: Sequence[object] | Array,
    weights: ArrayLike | None = None,
) -> ClusteredMean:
    """Computes the ``clustered_mean`` of value minus baseline, item by item.

    Pairing removes the variance of items' difficulty that both sides share.
    """
    difference = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    return clustered_mean(difference, clusters, weights)


@dataclass(frozen=True)
class Resamples:
    """How often each cluster is drawn in each resample.

    Rates are ratios of sums over documents; a resample weighs each cluster by how often it was
    drawn.
    """

    weight_SC: Array
    number_D: Array
    """int64: the cluster of each document, from 0."""

    @classmethod
    def draw(cls, cluster_D: Array, seed: int) -> Resamples:
        """Returns resamples of as many clusters as there are, with replacement; none for one."""
        names, number_D = np.unique(cluster_D, return_inverse=True)
        count = len(names)
        random = np.random.default_rng(seed)
        size = RESAMPLES if count > 1 else 0
        weight_SC = random.multinomial(count, np.full(count, 1 / count), size=size)
        return cls(weight_SC.astype(np.float64), number_D)

    def sums(self, values: Array) -> Array:
        """Computes sums [S, ...] over the documents of each resample, of numbers [D, ...]."""
        of_cluster = np.zeros((self.weight_SC.shape[1], *values.shape[1:]))
        np.add.at(of_cluster, self.number_D, values)
        return np.tensordot(self.weight_SC, of_cluster, axes=1)


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds."""

    value: float
    standard_error: float
    """NaN with one seed."""
    half_width: float
    """Half width of Student's interval with n - 1 degrees of freedom; NaN with one seed."""
    num_seeds: int

    @property
    def interval(self) -> Interval[float]:
        """The mean and its limits."""
        return Interval(self.value, self.value - self.half_width, self.value + self.half_width)

    def verdict(self, better: Better) -> Verdict:
        """Returns the verdict on a difference with this interval."""
        return decide(self.value, self.half_width, better)


def seed_mean(values: Sequence[float]) -> SeedMean:
    """Computes mean, standard error and interval over at least one seed's values."""
    count = len(values)
    if count == 1:
        return SeedMean(values[0], math.nan, math.nan, 1)
    error = stdev(values) / math.sqrt(count)
    return SeedMean(mean(values), error, student_quantile(count - 1) * error, count)


def paired_seeds(values: Mapping[int, float], baseline: Mapping[int, float]) -> SeedMean | None:
    """Computes the mean difference over common seeds; None if there are none."""
    seeds = [seed for seed in values if seed in baseline]
    return seed_mean([values[seed] - baseline[seed] for seed in seeds]) if seeds else None


def student_quantile(freedom: int) -> float:
    """Computes the t within which Student's distribution has :data:`LEVEL` of its mass.

    Args:
        freedom: degrees of freedom, at least 1.
    """
    low, high = 0.0, 1e3
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        below = _student_mass(middle, freedom) < LEVEL
        low, high = (middle, high) if below else (low, middle)
    return high


def _student_mass(t: float, freedom: int) -> float:
    """Computes P(|T| < t), exactly for integer degrees of freedom.

    Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
