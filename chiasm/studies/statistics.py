"""Means over seeds and paired differences, with Student's t intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from chiasm.evaluation.rows import Better, Verdict

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    value: float
    standard_error: float
    """NaN with one seed."""
    half_width: float
    """Of the 95 % interval, Student's t with n - 1 degrees of freedom; NaN with one seed."""
    num_seeds: int

    def verdict(self, better: Better) -> Verdict:
        """What a difference with this interval allows one to say."""
        if math.isnan(self.half_width) or abs(self.value) <= self.half_width or not self.value:
            return Verdict.NOT_SEPARATED
        improved = self.value > 0 if better == "higher" else self.value < 0
        return Verdict.BEATS if improved else Verdict.WORSE


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, standard error and interval over at least one seed's values."""
    count = len(values)
    if count == 1:
        return Estimate(values[0], math.nan, math.nan, 1)
    error = stdev(values) / math.sqrt(count)
    return Estimate(mean(values), error, student_quantile(count - 1) * error, count)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """Mean difference over the seeds that both have; None where they share none."""
    seeds = [seed for seed in values if seed in baseline]
    return estimate([values[seed] - baseline[seed] for seed in seeds]) if seeds else None


def student_quantile(freedom: int) -> float:
    """The t within which Student's distribution has :data:`CONFIDENCE` of its mass.

    Args:
        freedom: degrees of freedom, at least 1.
    """
    low, high = 0.0, 1e3
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        below = _student_mass(middle, freedom) < CONFIDENCE
        low, high = (middle, high) if below else (low, middle)
    return high


def _student_mass(t: float, freedom: int) -> float:
    """P(|T| < t): Abramowitz and Stegun, 26.7.3 and 26.7.4, exact for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
