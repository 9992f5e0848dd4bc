"""What a careful reader would object to: said by the tool before the reader does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from chiasm.scaling.estimate import TITLES, Estimate
from chiasm.scaling.law import Array
from chiasm.scaling.parabola import Parabola, design, minima
from chiasm.scaling.power import fit_power_law
from chiasm.scaling.resample import Number

TOO_WIDE = 32.0
"""Largest over smallest size of a budget beyond which a parabola bends away from the curve."""

TOO_NARROW = 4.0
"""The same below which noise decides the curvature."""

OFF_CENTRE = 0.5
"""Half spans between the minimum and the middle of the grid."""

FAILED = 0.05
"""Share of resamples without a minimum beyond which an interval is conditional."""


def grid_width_flag(ratio: float) -> str:
    """Whether sizes that span this ratio are a good grid; empty where they are."""
    if ratio > TOO_WIDE:
        return f"sizes span a factor of {ratio:.3g}, wide enough to bias a parabola"
    if ratio < TOO_NARROW:
        return f"sizes span a factor of {ratio:.3g}, so narrow that noise decides the curvature"
    return ""


def approach2_flags(
    parabolas: Sequence[Parabola],
    cells: Sequence[str],
    budgets: Array,
    estimates: Mapping[str, Estimate],
) -> Iterator[str]:
    """Budgets refused, grids off centre or of the wrong width, runs off their curve."""
    for parabola in parabolas:
        where = f"budget {parabola.budget_flops:.3g}"
        if parabola.refusal:
            yield f"{where} has no minimum: {parabola.refusal}"
            continue
        if flag := grid_width_flag(float(np.exp(2 * parabola.half_span))):
            yield f"{where}: {flag}"
        if parabola.off_centre > OFF_CENTRE:
            yield (
                f"{where}: the grid is off centre, its minimum {parabola.minimum:.3g} lies "
                f"{parabola.off_centre:.0%} of the way to the edge"
            )
        own = np.flatnonzero(budgets == parabola.budget_flops)
        for run in parabola.odd:
            yield f"{where}: cell {cells[own[run]]} lies far from the curve of the others"
    if "parabola" in estimates:
        failed = float(np.isnan(estimates["parabola"].samples[:, 0]).mean())
        if failed > FAILED:
            yield (
                f"{failed:.0%} of the resamples lose a minimum, so approach 2's intervals hold "
                "only where all minima exist; they are too narrow"
            )


def unbracketed(parabolas: Sequence[Parabola], estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """Approach 3's optima that lie outside the sizes that were trained."""
    for method, estimate in estimates.items():
        outside = [
            f"{parabola.budget_flops:.3g}"
            for parabola in parabolas
            for size in [np.exp(estimate.log_optimum(parabola.budget_flops)[0][0])]
            if not min(parabola.sizes) < size < max(parabola.sizes)
        ]
        if estimate.law is not None and outside:
            yield (
                f"{TITLES[method]} puts the optimum outside of the trained sizes at budget "
                f"{', '.join(outside)}: it is extrapolated there"
            )


def disagreements(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """Pairs of methods whose size exponents differ by more than their resamples do."""
    methods = list(estimates)
    for number, one in enumerate(methods):
        for two in methods[number + 1 :]:
            difference = estimates[one].rows[:, 0] - estimates[two].rows[:, 0]
            told = Number.of(difference[0], difference[1:] - np.nanmean(difference[1:]))
            if not told.low <= difference[0] <= told.high:
                yield (
                    f"{TITLES[one]} and {TITLES[two]} disagree: a = "
                    f"{estimates[one].numbers[0]:.3f} against {estimates[two].numbers[0]:.3f}"
                )


def bias_on_grid(
    parabolas: Sequence[Parabola], budgets: Array, sizes: Array, tokens: Array, truth: Estimate
) -> tuple[float, float]:
    """What approach 2 would say wrongly on these sizes if the parametric law were the truth.

    The law's own noise-free losses at the runs' N and D go through parabolas. What differs from
    the law's true optima is bias of the method alone: of the size exponent, and of ln N at the
    middle budget. (A grid that is off centre by one factor everywhere biases the sizes, one that
    drifts with the budget the exponent too.)
    """
    assert truth.law is not None
    exact = truth.law.loss(sizes, tokens)[0]
    flops, found = [], []
    for parabola in parabolas:
        if not parabola.refusal:
            own = budgets == parabola.budget_flops
            table, centre = design(sizes[own])
            flops.append(parabola.budget_flops)
            found.append(centre * np.exp(minima(table, exact[None, own])[0]))
    law = fit_power_law(np.array(flops), np.array(found))
    level = law.level - float(truth.log_optimum(law.c0)[0][0])
    return float(law.exponent - truth.numbers[0]), level
