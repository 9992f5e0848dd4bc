"""The size of lowest loss at one budget (approach 2): a parabola of loss in ln N.

(Hoffmann et al., arXiv 2203.15556, section 3.2.) A minimum counts only where it is one: the
parabola opens upwards, its lowest point lies between the smallest and the largest size, and it
is told from a slope by more than twice its own uncertainty. Everything else is refused with the
reason.

Shape suffixes: R tables of losses, n runs of one budget; 3 = constant, slope, curvature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.scaling.law import Array

MINIMUM_SIZES = 4
"""Sizes of a budget, so that a parabola has something to miss."""

SEPARATION = 2.0
"""Standard errors by which the curvature must exceed zero."""

ODD = 3.9
"""Standard deviations from the curve of the others at which a run is named: one in 10,000."""


@dataclass(frozen=True)
class Parabola:
    """One budget's curve of one modality."""

    budget_flops: float
    sizes: tuple[float, ...]
    """Active parameters of each run."""
    losses: tuple[float, ...]
    coefficients: tuple[float, float, float]
    """Loss = c0 + c1·u + c2·u² with u = ln(N / centre)."""
    centre: float
    """Geometric mean of the smallest and the largest size."""
    spread: float
    """Standard deviation of ln N at the minimum for losses that scatter by 1 (delta method)."""
    scatter: float
    """Standard deviation of the losses about the parabola, relative to the lowest."""
    freedom: int
    """Runs beyond the three numbers of the parabola."""
    refusal: str
    """Why there is no minimum; empty where there is one."""
    odd: tuple[int, ...]
    """Runs that lie far from the curve of the others."""

    @property
    def minimum(self) -> float:
        """Active parameters of the lowest loss."""
        _, slope, curvature = self.coefficients
        return float(self.centre * np.exp(-slope / (2 * curvature)))

    @property
    def lowest_loss(self) -> float:
        """Loss there."""
        constant, slope, curvature = self.coefficients
        return constant - slope**2 / (4 * curvature)

    @property
    def half_span(self) -> float:
        """Half of ln(largest / smallest size)."""
        return float(np.log(max(self.sizes) / min(self.sizes)) / 2)

    @property
    def off_centre(self) -> float:
        """How far the minimum lies from the middle, in half spans: 0 middle, 1 edge."""
        return float(abs(np.log(self.minimum / self.centre)) / self.half_span)


def design(sizes: Array) -> tuple[Array, float]:
    """1, u and u² of each run [n, 3], and the centre that u is measured from."""
    centre = float(np.sqrt(sizes.min() * sizes.max()))
    return np.vander(np.log(sizes / centre), 3, increasing=True), centre


def fit_parabola(budget_flops: float, sizes: Array, losses: Array) -> Parabola:
    """Fit one budget's runs; never raises, but may refuse."""
    table, centre = design(sizes)
    num_sizes = len(np.unique(sizes))
    told = tuple(sizes.tolist()), tuple(losses.tolist())
    if num_sizes < MINIMUM_SIZES:
        reason = f"it has {num_sizes} sizes; a minimum needs at least {MINIMUM_SIZES}"
        flat = (float(losses.mean()), 0.0, 1e-300)
        return Parabola(budget_flops, *told, flat, centre, np.inf, np.nan, 0, reason, ())
    inverse = np.linalg.inv(table.T @ table)
    coefficients = inverse @ table.T @ losses
    residual = losses - table @ coefficients
    freedom = len(losses) - 3
    variance = residual @ residual / freedom
    _, slope, curvature = coefficients
    gradient = np.array([0.0, -1 / (2 * curvature), slope / (2 * curvature**2)])
    parabola = Parabola(
        budget_flops=budget_flops,
        sizes=told[0],
        losses=told[1],
        coefficients=(float(coefficients[0]), float(slope), float(curvature)),
        centre=centre,
        spread=float(np.sqrt(gradient @ inverse @ gradient)),
        scatter=float(np.sqrt(variance) / losses.min()),
        freedom=freedom,
        refusal="",
        odd=_odd(residual, np.einsum("np,pq,nq->n", table, inverse, table), freedom),
    )
    reason = _refusal(parabola, float(np.sqrt(inverse[2, 2] * variance)))
    return Parabola(**{**parabola.__dict__, "refusal": reason})


def minimum_variances(parabolas: Sequence[Parabola]) -> Array:
    """Variance of ln N at each minimum, by its own grid and curvature and the common scatter.

    The scatter about five sizes is itself poorly known; relative to the loss it is taken as one
    for all budgets, so that a curve that is smooth by chance does not outweigh the others.
    """
    freedom = sum(parabola.freedom for parabola in parabolas)
    relative = sum(parabola.freedom * parabola.scatter**2 for parabola in parabolas) / freedom
    return np.array([relative * (min(p.losses) * p.spread) ** 2 for p in parabolas])


def minima(table_n3: Array, losses_Rn: Array) -> Array:
    """u at the lowest point of each table's parabola [R]; nan where it opens downwards."""
    coefficients = losses_Rn @ np.linalg.pinv(table_n3).T
    slope, curvature = coefficients[:, 1], coefficients[:, 2]
    opens = curvature > 0
    return np.where(opens, -slope / (2 * np.where(opens, curvature, 1.0)), np.nan)


def _refusal(parabola: Parabola, curvature_se: float) -> str:
    _, slope, curvature = parabola.coefficients
    if curvature <= SEPARATION * curvature_se:
        return (
            "its losses do not bend upwards by more than their scatter (curvature "
            f"{curvature:.3g} ± {curvature_se:.2g}); widen the sizes or add seeds"
        )
    if parabola.off_centre >= 1:
        side, edge = ("above the largest", max) if slope < 0 else ("below the smallest", min)
        return (
            f"its lowest point, N = {parabola.minimum:.3g}, lies {side} size "
            f"{edge(parabola.sizes):.3g}; add sizes on that side"
        )
    return ""


def _odd(residual: Array, leverage: Array, freedom: int) -> tuple[int, ...]:
    """Runs whose distance to the curve of all others exceeds ODD of the others' deviations."""
    if freedom < 3:
        return ()
    rest = np.maximum(1 - leverage, 1e-9)
    others = np.maximum(residual @ residual - residual**2 / rest, 0) / (freedom - 1)
    distance = np.abs(residual) / np.sqrt(np.maximum(others * rest, 1e-300))
    # Their deviation is itself estimated: the t distribution's quantile, by Cornish and Fisher.
    nu = freedom - 1
    limit = ODD + (ODD**3 + ODD) / (4 * nu)
    limit += (5 * ODD**5 + 16 * ODD**3 + 3 * ODD) / (96 * nu**2)
    return tuple(np.flatnonzero((distance > limit) & (np.abs(residual) > 1e-9)).tolist())
