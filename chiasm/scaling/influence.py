"""Influence of single sizes on a fit: exponents without them, and sizes that more training made
worse.

An interval reflects the scatter about a law. Where one size does not belong to the family (too
narrow for its heads, or diverged), the law bends to it, and the interval does not show that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chiasm.scaling.approaches import FITS, Refused, approach2, approach3, parabolas_of
from chiasm.scaling.flags import TOLD, Flag, excludes, warning
from chiasm.scaling.frontier import TITLES, Frontier
from chiasm.scaling.law import Array, Cost, Laws, geometric_mean
from chiasm.scaling.residuals import pure_error
from chiasm.scaling.runs import Runs

SAME_SIZE = 0.05
"""Sizes nearer than this in ln N count as one: by compute, a shape's N depends on its rows."""

MOST_SIZES = 40
"""Tables with more sizes than this do not depend on a single one."""

DOUBT = 1 / 8
"""Share of an interval, from its ends, within which the best of all starts decides. Elsewhere a law
is fitted from one start, that of all runs, in a tenth of the time; of 528 such fits none differed
by more than 3.4e-4 in its exponent.
"""

WORSE = 0.005
"""Relative rise of a loss with more training below which there is no warning."""

DEVIATIONS = 2.0
"""The same in standard deviations of the seeds."""


def leaning(
    runs: Runs, modality: str, cost: Cost, estimates: Mapping[str, Frontier]
) -> Iterator[Flag]:
    """Yields methods whose exponent leaves its own interval when one size is left out."""
    own = same_sizes(runs.sizes)
    if own.max() >= MOST_SIZES:
        return
    for method, estimate in estimates.items():
        interval = estimate.size_exponent
        told = [
            f"{geometric_mean(runs.sizes[own == size]):.3g} (a = {a:.3f})"
            for size in range(own.max() + 1)
            for a in [_exponent(runs.only(own != size), modality, cost, estimate)]
            if a is not None and excludes(interval, a)
        ]
        if told:
            yield warning(
                f"{TITLES[method]}: a = {interval.value:.3f} [{interval.low:.3f}, "
                f"{interval.high:.3f}] leans on single sizes; it leaves this interval without N = "
                f"{', '.join(told)}",
                method,
            )


def worse_with_more(runs: Runs, modality: str) -> Iterator[Flag]:
    """Yields sizes whose loss rises from one budget to the next."""
    if not runs.has_budgets:
        return
    own, losses = same_sizes(runs.sizes), runs.losses[modality]
    scatter = np.sqrt(pure_error(np.log(losses), runs.places)[0])
    for size in range(own.max() + 1):
        budgets = np.unique(runs.budgets[own == size])
        cells = [losses[(own == size) & (runs.budgets == budget)] for budget in budgets]
        for n in range(len(cells) - 1):
            rise = float(cells[n + 1].mean() / cells[n].mean() - 1)
            error = scatter * np.sqrt(1 / len(cells[n]) + 1 / len(cells[n + 1]))
            if rise > max(WORSE, DEVIATIONS * error):
                mean = geometric_mean(runs.sizes[own == size])
                yield warning(
                    f"N = {mean:.3g} is {rise:.1%} worse at budget {budgets[n + 1]:.3g} than at "
                    f"{budgets[n]:.3g}: more training did not help, so its size is not what limits "
                    "it; look at its learning rate"
                )


def same_sizes(sizes: Array) -> Array:
    """Returns the number of each run's size [n], from 0 in ascending order."""
    order = np.argsort(sizes)
    steps = np.diff(np.log(sizes[order]), prepend=np.log(sizes[order][0])) > SAME_SIZE
    numbers = np.empty(len(sizes), dtype=int)
    numbers[order] = np.cumsum(steps)
    return numbers


def _exponent(rest: Runs, modality: str, cost: Cost, of_all: Frontier) -> float | None:
    """Returns a of an estimate's method on fewer runs; None where it refuses them."""
    if of_all.method in FITS:
        interval = of_all.size_exponent
        doubt = max(TOLD / 2, DOUBT * (interval.high - interval.low))
        a = _fitted(rest, modality, of_all.method, cost, of_all.law)
        if a is not None and not any(excludes(interval, a + off) for off in (-doubt, doubt)):
            return a
    return _fitted(rest, modality, of_all.method, cost)


def _fitted(
    rest: Runs, modality: str, method: str, cost: Cost, start: Laws | None = None
) -> float | None:
    nobody = np.zeros((0, len(rest.sizes)))
    try:
        if method in FITS:
            found = approach3(rest, modality, method, cost, nobody, start)
        else:
            found = approach2(rest, modality, parabolas_of(rest, modality), nobody)
    except Refused:
        return None
    return float(found.numbers[0])
