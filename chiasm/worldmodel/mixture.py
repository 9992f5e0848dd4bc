"""Which of several pictures a mean of pictures is made of.

The flow's mean, one step of the solver, is the mean of all views that may follow. Of two steps that
are as likely it shows both, and what is nearest to that may be a third one. The weights with which
the views of all steps make it up say how likely each is.

Shape suffixes: K pictures, F features.
"""

from __future__ import annotations

import numpy as np

ITERATIONS = 300


def mixture(of_KF: np.ndarray, mean_F: np.ndarray) -> np.ndarray:
    """Returns the weights w ≥ 0 with Σ w = 1 that make |mean - Σ w·x|² least: float64 [K].

    By accelerated projected gradients (FISTA: Beck and Teboulle 2009).
    """
    of_KF, mean_F = of_KF.astype(np.float64), mean_F.astype(np.float64)
    products_KK, wanted_K = of_KF @ of_KF.T, of_KF @ mean_F
    steepest = np.linalg.eigvalsh(products_KK)[-1] or 1.0  # all are 0: any weights do
    weight_K = ahead_K = np.full(len(of_KF), 1 / len(of_KF))
    speed = 1.0
    for _ in range(ITERATIONS):
        new_K = onto_simplex(ahead_K - (products_KK @ ahead_K - wanted_K) / steepest)
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead_K = new_K + (speed - 1) / faster * (new_K - weight_K)
        weight_K, speed = new_K, faster
    return weight_K


def onto_simplex(numbers_K: np.ndarray) -> np.ndarray:
    """Returns the nearest numbers that are not below 0 and sum to 1 (Held et al. 1974)."""
    falling_K = np.sort(numbers_K)[::-1]
    above_K = (np.cumsum(falling_K) - 1) / np.arange(1, len(numbers_K) + 1)
    last = np.flatnonzero(falling_K > above_K)[-1]
    return np.maximum(numbers_K - above_K[last], 0)
