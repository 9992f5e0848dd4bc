"""Intervals by the wild bootstrap over runs.

A study is a designed experiment: its sizes and budgets are chosen, only the losses are random. A
resample therefore keeps every run where it is and gives it the fitted loss plus or minus its own
residual, the sign drawn for each run (cell and seed) anew (Liu 1988; Rademacher signs after
Davidson & Flachaire 2008). Runs may scatter differently at different budgets, and no resample
loses a size, as drawing five cells with replacement would. All modalities of a run share its sign,
so that a gap between modalities keeps what their losses have in common. Residuals are first
stretched to what they would be had the run not been fitted (HC3: MacKinnon & White 1985), which
is what tables of a few dozen runs need for intervals that hold what they promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.scaling.law import Array

LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Number:
    """An estimate with its standard error and interval."""

    value: float
    standard_error: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, samples: Array, standard_error: float | None = None) -> Number:
        """From resamples; those that are not finite are left out."""
        finite = samples[np.isfinite(samples)]
        if len(finite) < 2:
            return cls(float(value), np.nan, np.nan, np.nan)
        low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        error = float(finite.std(ddof=1)) if standard_error is None else standard_error
        return cls(float(value), error, float(low), float(high))


def draw_signs(num_resamples: int, num_runs: int, seed: int) -> Array:
    """±1 for each run of each resample [R, n]."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(num_resamples, num_runs))


def resampled(fitted: Array, residual: Array, table: Array, signs_Rn: Array) -> Array:
    """Losses [R, n] about a fit that is linear, at least nearby, in the columns of ``table``.

    Args:
        fitted: the fit [n].
        residual: what it leaves [n].
        table: derivatives of the fit by its numbers [n, P].
        signs_Rn: from :func:`draw_signs`.
    """
    q, _ = np.linalg.qr(table)
    leverage = np.minimum((q**2).sum(axis=1), 0.9)
    return fitted + signs_Rn * (residual / (1 - leverage))
