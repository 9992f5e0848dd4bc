"""The size of lowest loss at one budget (approach 2): a parabola of loss in ln N about it.

(Hoffmann et al., arXiv 2203.15556, section 3.2.) Loss over ln N is no parabola far from its lowest
point: small models and short training raise it at rates of their own, so that sizes far off pull
the parabola's lowest point to the flatter side, and by more where the grid is wider or lies to one
side (Czech et al., arXiv 2603.22339). So only sizes about the lowest loss shape it, by the rule of
:func:`window`; resamples choose theirs anew.

A minimum counts only where it is one: the parabola opens upwards, by more than twice its own
uncertainty, and its lowest point lies between the sizes that shape it. Everything else is refused
with the reason.

Shape suffixes: R tables of losses, n runs of one budget; 3 = constant, slope, curvature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.scaling.law import Array

MINIMUM_SIZES = 4
"""Sizes that a budget needs, so that the parabola has a residual."""

WITHIN = 4.0
"""Factor in N about the size of lowest loss within which sizes shape the parabola: of 2 to 16, the
one with the least error of the exponent over known laws whose losses scatter by up to 0.2 %."""

BESIDE = 2
"""Sizes on either side of it that shape the parabola in any case, where there are so many: with
fewer, a lowest loss that scatter moved by one size leaves the minimum at the window's edge.
"""

SEPARATION = 2.0
"""Standard errors by which the curvature must exceed zero."""

ODD = 3.9
"""Standard deviations from the curve of the others at which a run is reported: one in 10,000."""

LEAST_ODD = 1e-4
"""Least distance of such a run, as a share of the lowest loss: losses have four digits."""


@dataclass(frozen=True)
class Parabola:
    """One budget's curve of one modality."""

    budget_flops: float
    sizes: tuple[float, ...]
    """Active parameters of each run."""
    losses: tuple[float, ...]
    coefficients: tuple[float, float, float]
    """Loss = c0 + c1·u + c2·u² with u = ln(N / centre)."""
    window: tuple[float, float]
    """Smallest and largest of the sizes that shape it."""
    spread: float
    """Standard deviation of ln N at the minimum for losses that scatter by 1 (delta method)."""
    scatter: float
    """Standard deviation of the losses about the parabola, relative to the lowest."""
    freedom: int
    """Runs in the window beyond the three numbers of the parabola."""
    refusal: str
    """Reason why there is no minimum; empty where there is one."""
    odd: tuple[int, ...]
    """Runs that lie far from the curve of the others."""

    @property
    def centre(self) -> float:
        """Geometric mean of the window's ends."""
        return float(np.sqrt(self.window[0] * self.window[1]))

    @property
    def minimum(self) -> float:
        """Active parameters of the lowest loss."""
        _, slope, curvature = self.coefficients
        return float(self.centre * np.exp(-slope / (2 * curvature)))

    @property
    def lowest_loss(self) -> float:
        """The parabola's loss at its minimum."""
        constant, slope, curvature = self.coefficients
        return constant - slope**2 / (4 * curvature)

    @property
    def lowest_measured(self) -> float:
        """Lowest measured loss of a size, averaged over its seeds."""
        _, means = mean_losses(np.array(self.sizes), np.array([self.losses]))
        return float(means.min())

    @property
    def half_span(self) -> float:
        """Half of ln(largest / smallest size) of the window."""
        return float(np.log(self.window[1] / self.window[0]) / 2)

    @property
    def off_centre(self) -> float:
        """Distance of the minimum from the window's middle, in half spans: 0 middle, 1 edge."""
        return float(abs(np.log(self.minimum / self.centre)) / self.half_span)


def window(sizes: Array, lowest: float) -> Array:
    """Returns which runs [n] shape a parabola about the size ``lowest``, one of ``sizes`` [n].

    Sizes within a factor of :data:`WITHIN`, and in any case :data:`BESIDE` on either side, where
    there are so many, and the nearest :data:`MINIMUM_SIZES` in all.
    """
    distinct = np.unique(sizes)
    distance = np.abs(np.log(distinct / lowest))
    place = int(distance.argmin())
    inside = distance <= np.log(WITHIN) + 1e-9
    inside[max(place - BESIDE, 0) : place + BESIDE + 1] = True
    if inside.sum() < MINIMUM_SIZES:
        inside[np.argsort(distance, kind="stable")[:MINIMUM_SIZES]] = True
    return np.isin(sizes, distinct[inside])


def mean_losses(sizes: Array, losses_Rn: Array) -> tuple[Array, Array]:
    """Returns the distinct sizes [s] and each table's mean loss over seeds at them [R, s]."""
    distinct, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    return distinct, losses_Rn @ (place[:, None] == np.arange(len(distinct))) / counts


def lowest_sizes(sizes: Array, losses_Rn: Array) -> Array:
    """Returns the size of lowest loss of each table [R]."""
    distinct, means_Rs = mean_losses(sizes, losses_Rn)
    return distinct[means_Rs.argmin(axis=1)]


def design(sizes: Array) -> tuple[Array, float]:
    """Returns 1, u and u² of each run [n, 3], and the centre that u is measured from."""
    centre = float(np.sqrt(sizes.min() * sizes.max()))
    return np.vander(np.log(sizes / centre), 3, increasing=True), centre


def fit_parabola(budget_flops: float, sizes: Array, losses: Array) -> Parabola:
    """Returns the fit to one budget's runs; never raises, but may refuse."""
    num_sizes = len(np.unique(sizes))
    told = tuple(sizes.tolist()), tuple(losses.tolist())
    if num_sizes < MINIMUM_SIZES:
        reason = f"it has {num_sizes} sizes; a minimum needs at least {MINIMUM_SIZES}"
        flat, ends = (float(losses.mean()), 0.0, 1e-300), (float(sizes.min()), float(sizes.max()))
        return Parabola(budget_flops, *told, flat, ends, np.inf, np.nan, 0, reason, ())
    own = np.flatnonzero(window(sizes, float(lowest_sizes(sizes, losses[None])[0])))
    table, _ = design(sizes[own])
    inverse = np.linalg.inv(table.T @ table)
    coefficients = inverse @ table.T @ losses[own]
    residual = losses[own] - table @ coefficients
    freedom = len(own) - 3
    variance = residual @ residual / freedom
    _, slope, curvature = coefficients
    # Delta method: derivatives of the minimum u = -c1 / (2 c2) by c0, c1 and c2.
    gradient = np.array([0.0, -1 / (2 * curvature), slope / (2 * curvature**2)])
    odd = _odd(residual / losses.min(), np.einsum("np,pq,nq->n", table, inverse, table), freedom)
    parabola = Parabola(
        budget_flops=budget_flops,
        sizes=told[0],
        losses=told[1],
        coefficients=(float(coefficients[0]), float(slope), float(curvature)),
        window=(float(sizes[own].min()), float(sizes[own].max())),
        spread=float(np.sqrt(gradient @ inverse @ gradient)),
        scatter=float(np.sqrt(variance) / losses.min()),
        freedom=freedom,
        refusal="",
        odd=tuple(own[list(odd)].tolist()),
    )
    reason = _refusal(parabola, float(np.sqrt(inverse[2, 2] * variance)))
    return replace(parabola, refusal=reason)


def minimum_variances(parabolas: Sequence[Parabola]) -> Array:
    """Returns the variance of ln N at each minimum, by its grid and curvature and common scatter.

    The scatter about five sizes is itself poorly known; relative to the loss it is taken as one for
    all budgets, so that a curve that is smooth by chance does not outweigh the others.
    """
    freedom = sum(parabola.freedom for parabola in parabolas)
    relative = sum(parabola.freedom * parabola.scatter**2 for parabola in parabolas) / freedom
    return np.array([relative * (min(p.losses) * p.spread) ** 2 for p in parabolas])


def minima(sizes: Array, losses_Rn: Array) -> Array:
    """Returns ln N at the lowest point of each table's parabola [R], about its own lowest loss.

    nan where it opens downwards or has its lowest point outside of the sizes that shape it.
    """
    found_R, lowest_R = np.full(len(losses_Rn), np.nan), lowest_sizes(sizes, losses_Rn)
    for lowest in np.unique(lowest_R):
        rows, own = np.flatnonzero(lowest_R == lowest), window(sizes, lowest)
        table, centre = design(sizes[own])
        coefficients = losses_Rn[np.ix_(rows, own)] @ np.linalg.pinv(table).T
        slope, curvature = coefficients[:, 1], coefficients[:, 2]
        opens = curvature > 0
        u = np.where(opens, -slope / (2 * np.where(opens, curvature, 1.0)), np.nan)
        found_R[rows] = np.log(centre) + np.where(np.abs(u) < table[:, 1].max(), u, np.nan)
    return found_R


def _refusal(parabola: Parabola, curvature_se: float) -> str:
    _, slope, curvature = parabola.coefficients
    if curvature <= SEPARATION * curvature_se:
        return (
            "its losses do not bend upwards by more than their scatter (curvature "
            f"{curvature:.3g} ± {curvature_se:.2g}); widen the sizes or add seeds"
        )
    if parabola.off_centre >= 1:
        side, edge = ("above the largest", 1) if slope < 0 else ("below the smallest", 0)
        return (
            f"its lowest point, N = {parabola.minimum:.3g}, lies {side} size "
            f"{parabola.window[edge]:.3g}; add sizes on that side"
        )
    return ""


def _odd(residual: Array, leverage: Array, freedom: int) -> tuple[int, ...]:
    """Returns runs whose distance to the curve of all others exceeds ODD of the others' deviations.

    ``residual`` [n] is relative to the lowest loss.
    """
    if freedom < 3:
        return ()
    rest = np.maximum(1 - leverage, 1e-9)
    others = np.maximum(residual @ residual - residual**2 / rest, 0) / (freedom - 1)
    distance = np.abs(residual) / np.sqrt(np.maximum(others * rest, 1e-300))
    # Their deviation is itself estimated: the t distribution's quantile, by Cornish and Fisher.
    nu = freedom - 1
    limit = ODD + (ODD**3 + ODD) / (4 * nu)
    limit += (5 * ODD**5 + 16 * ODD**3 + 3 * ODD) / (96 * nu**2)
    return tuple(np.flatnonzero((distance > limit) & (np.abs(residual) > LEAST_ODD)).tolist())
