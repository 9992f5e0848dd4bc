"""Means over seeds and paired differences, with Student's t intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.special import stdtrit

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
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean(values), error, quantile * error, count)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """Mean difference over the seeds that both have; None where they share none."""
    seeds = [seed for seed in values if seed in baseline]
    return estimate([values[seed] - baseline[seed] for seed in seeds]) if seeds else None
