"""Residuals of the laws: outliers, and lack of fit beyond the scatter of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from chiasm.scaling.approaches import FITS, Refused, fit_law
from chiasm.scaling.flags import Flag, warning
from chiasm.scaling.frontier import frontier_of_laws
from chiasm.scaling.law import DELTA, Array, Cost, Laws
from chiasm.scaling.parabola import Parabola, design
from chiasm.scaling.runs import Runs

ODD = 6.0
"""Robust deviations from the Huber law beyond which a run is reported."""

LEAST_DEVIATION = DELTA / 10
"""Lower bound of the deviation: a law that fits better than this has no outliers."""

LEAST_LACK = 5e-4
"""Relative scatter of the cells, beyond their seeds', below which lack of fit is negligible."""

ALIKE = 1e-6
"""Relative scatter of all seeds below which they are copies, or without noise: no random training
agrees so well with its repetition, so that they measure no scatter.
"""

CHANCE = 0.01
"""Significance level of the test for lack of fit."""

DRAWS = 100_000
"""Number of draws from which the quantile of the F distribution is estimated."""

SHOWN = 8
"""Number of cells that a flag lists."""


@dataclass(frozen=True)
class Outliers:
    """Runs far from the Huber law, and the exponents without their cells."""

    cells: tuple[str, ...]
    deviations: tuple[float, ...]
    """Deviation of each cell's farthest run, in robust standard deviations."""
    exponents: Mapping[str, Mapping[str, float]]
    """Method → a, b, alpha and beta without these cells; empty where too few runs are left."""


def find_outliers(runs: Runs, modality: str, cost: Cost, law: Laws) -> Outliers | None:
    """Returns runs beyond :data:`ODD` deviations of the Huber fit's ``law``, or None."""
    losses = runs.losses[modality]
    residual = np.log(losses / law.loss(runs.sizes, runs.tokens)[0])
    freedom = max(len(residual) - law.numbers_RP.shape[1], 1)
    deviation = 1.4826 * float(np.median(np.abs(residual))) * np.sqrt(len(residual) / freedom)
    distance = residual / max(deviation, LEAST_DEVIATION)
    far = {runs.cells[i] for i in np.flatnonzero(np.abs(distance) > ODD)}
    if not far:
        return None
    cells = np.array(runs.cells)
    farthest = {cell: max(distance[cells == cell].tolist(), key=abs) for cell in far}
    order = sorted(far, key=lambda cell: -abs(farthest[cell]))
    rest = runs.only(~np.isin(cells, order))
    exponents = {}
    with suppress(Refused):
        for method in FITS:
            again = fit_law(rest, modality, method)
            numbers = frontier_of_laws(method, rest.c0, again, again, cost).numbers
            exponents[method] = {
                "a": float(numbers[0]),
                "b": float(numbers[2]),
                "alpha": float(again.alpha_R[0]),
                "beta": float(again.beta_R[0]),
            }
    return Outliers(tuple(order), tuple(farthest[cell] for cell in order), exponents)


def outlier_flag(found: Outliers, law: Mapping[str, Laws]) -> Flag:
    """Returns a flag with these cells and the exponents with and without them.

    ``law`` is the law of each method.
    """
    told = [
        f"{cell} ({deviation:+.0f})"
        for cell, deviation in zip(found.cells[:SHOWN], found.deviations, strict=False)
    ]
    more = f" and {len(found.cells) - SHOWN} more" if len(found.cells) > SHOWN else ""
    without = "; ".join(
        f"{method} without them a = {own['a']:.3f}, α = {own['alpha']:.3f}, β = {own['beta']:.3f} "
        f"(with them α = {float(law[method].alpha_R[0]):.3f}, "
        f"β = {float(law[method].beta_R[0]):.3f})"
        for method, own in found.exponents.items()
        if method in law
    )
    return warning(
        f"cells beyond {ODD:g} robust deviations from the Huber law: {', '.join(told)}{more}. "
        f"{without or 'Too few runs are left without them'}; look why, and see --leave-out",
        *FITS,
    )


def pure_error(values: Array, places: Array) -> tuple[float, int]:
    """Returns the variance of ``values`` [n] between a cell's runs, and its degrees of freedom.

    ``places`` [n] number the cells; (0, 0) where no cell has two runs.
    """
    _, places, counts = np.unique(places, return_inverse=True, return_counts=True)
    means, freedom = np.bincount(places, values) / counts, len(values) - len(counts)
    return float(((values - means[places]) ** 2).sum()) / max(freedom, 1), freedom


def alike_seeds(runs: Runs, modality: str) -> Iterator[Flag]:
    """Yields a flag if seeds repeat each other's losses, so that nothing measures their scatter."""
    pure, freedom = pure_error(np.log(runs.losses[modality]), runs.places)
    if freedom and pure <= ALIKE**2:
        yield warning(
            "the seeds of every cell have the same loss (copies of one run?): they measure no "
            "scatter, so that lack of fit is not tested"
        )


def law_lacks_fit(runs: Runs, modality: str, law: Laws) -> Iterator[Flag]:
    """Yields a flag if cells leave the least-squares law by more than their seeds differ."""
    residual = np.log(runs.losses[modality] / law.loss(runs.sizes, runs.tokens)[0])
    if told := lack_of_fit(residual, runs.places, law.numbers_RP.shape[1]):
        yield warning(f"approach 3's law: {told}", *FITS)


def parabolas_lack_fit(runs: Runs, modality: str, kept: Sequence[Parabola]) -> Iterator[Flag]:
    """Yields a flag if cells leave their budgets' parabolas by more than their seeds differ."""
    residuals, places = [], []
    for parabola in kept:
        low, high = parabola.window
        own = (runs.budgets == parabola.budget_flops) & (runs.sizes >= low) & (runs.sizes <= high)
        table, _ = design(runs.sizes[own])
        curve = table @ np.array(parabola.coefficients)
        residuals.append(runs.losses[modality][own] / curve - 1)
        places.append(runs.places[own])
    told = lack_of_fit(np.concatenate(residuals), np.concatenate(places), 3 * len(kept))
    if told:
        yield warning(f"parabolas: {told}", "parabola")


def lack_of_fit(residual: Array, places: Array, num_numbers: int) -> str:
    """Returns the F test of the fit against the error between seeds, as text; empty if it holds.

    The test compares the cells' means about the fit with the pure error (Draper & Smith, Applied
    Regression Analysis, section 2.1). Also empty where there are too few seeds, or they measure no
    scatter (:func:`alike_seeds`).

    Args:
        residual: relative, of each run [n].
        places: the number of each run's cell [n].
        num_numbers: number of fitted parameters.
    """
    _, places, counts = np.unique(places, return_inverse=True, return_counts=True)
    freedom, (pure, pure_freedom) = len(counts) - num_numbers, pure_error(residual, places)
    if freedom < 1 or pure_freedom < 3 or pure <= ALIKE**2:
        return ""
    means = np.bincount(places, residual) / counts
    lack = float((counts * means**2).sum()) / freedom
    random = np.random.default_rng(0)
    chi = [random.chisquare(nu, DRAWS) / nu for nu in (freedom, pure_freedom)]
    limit = float(np.quantile(chi[0] / chi[1], 1 - CHANCE))
    of_cells = np.sqrt(max(lack - pure, 0.0) / counts.mean())
    if lack <= limit * pure or of_cells <= LEAST_LACK:
        return ""
    of_seeds = f"{np.sqrt(pure):.2%}" if pure > 1e-8 else f"{np.sqrt(pure):.1g}"
    return (
        f"lack of fit: cells scatter about it by {of_cells:.2%} beyond what their seeds "
        f"({of_seeds} each) explain (F = {lack / pure:.3g}, chance gives {limit:.2g}); "
        "the intervals count this as scatter of the cells, not as a wrong law"
    )
