"""Both approaches on the losses of one modality, and the reasons why a table may not allow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from chiasm.scaling.frontier import Frontier, fit_power_law, frontier_of_laws, power_laws
from chiasm.scaling.law import Array, Cost, Laws, fit_huber, fit_projection, geometric_mean
from chiasm.scaling.parabola import (
    Parabola,
    design,
    fit_parabola,
    lowest_sizes,
    minima,
    minimum_variances,
    window,
)
from chiasm.scaling.resample import OF_CURVE, OF_LAW, resampled
from chiasm.scaling.runs import Runs

MINIMUM_BUDGETS = 3
"""Minima that a power law needs, so that it has a residual."""

MINIMUM_RUNS = 8
"""Runs that the five numbers of the parametric law need."""

FITS = {"huber": fit_huber, "projection": fit_projection}


class Refused(Exception):
    """A table does not allow a method; the text is the reason."""


def parabolas_of(runs: Runs, modality: str) -> tuple[Parabola, ...]:
    """Returns every budget's curve, in ascending order; a budget of one size has none."""
    if not runs.has_budgets:
        return ()
    losses = runs.losses[modality]
    return tuple(
        fit_parabola(float(budget), runs.sizes[own], losses[own])
        for budget in np.unique(runs.budgets)
        for own in [runs.budgets == budget]
        if len(np.unique(runs.sizes[own])) > 1
    )


def approach2(
    runs: Runs, modality: str, parabolas: Sequence[Parabola], signs_Rn: Array
) -> Frontier:
    """Returns power laws through the minima, weighted by the minima's own variances.

    Raises:
        Refused: no budgets, too few minima, or losses that compute does not lower.
    """
    kept = _with_minima(parabolas)
    budgets = np.array([parabola.budget_flops for parabola in kept])
    log_sizes, log_tokens = [], []
    for parabola in kept:
        own = np.flatnonzero(runs.budgets == parabola.budget_flops)
        sizes, losses = runs.sizes[own], runs.losses[modality][own]
        again = resampled_curve(sizes, losses, runs.places[own], signs_Rn[:, own])
        log_sizes.append(minima(sizes, np.concatenate([losses[None], again])))
        near = own[window(sizes, lowest_sizes(sizes, losses[None])[0])]
        slope, level = np.polyfit(np.log(runs.sizes[near]), np.log(runs.tokens[near]), 1)
        log_tokens.append(level + slope * log_sizes[-1])
    variances = minimum_variances(kept)
    laws = (
        power_laws(budgets, np.stack(values, axis=1), variances)[:, ::-1]
        for values in (log_sizes, log_tokens)
    )
    rows = np.concatenate(list(laws), axis=1)
    return Frontier("parabola", geometric_mean(budgets), rows[0], rows[1:])


def _with_minima(parabolas: Sequence[Parabola]) -> list[Parabola]:
    """Returns the parabolas that a power law goes through; refuses a set that allows none."""
    kept = [parabola for parabola in parabolas if not parabola.refusal]
    if not parabolas:
        raise Refused(
            "there are no budgets: fewer than four in five runs fall into groups of equal FLOPs "
            "with four sizes or more and clear steps between the groups"
        )
    if len(kept) < MINIMUM_BUDGETS:
        raise Refused(
            f"{len(kept)} of {len(parabolas)} budgets have a minimum and a power law needs "
            f"{MINIMUM_BUDGETS}"
        )
    for lower, upper in pairwise(kept):
        if upper.lowest_measured >= lower.lowest_measured:
            raise Refused(
                f"the lowest loss at budget {upper.budget_flops:.3g}, {upper.lowest_measured:.4g}, "
                f"is not below that at {lower.budget_flops:.3g}, {lower.lowest_measured:.4g}: more "
                "compute did not help, so a size is not what limits these runs"
            )
    return kept


def resampled_curve(sizes: Array, losses: Array, places: Array, signs_Rn: Array) -> Array:
    """Returns resampled losses [R, n] of one budget, about its parabola or, outside, others.

    The lowest loss of a resample may be at another size, and so its window too, whose sizes need
    losses as well: a size outside of the window gets its fitted loss from the window about itself.
    """
    again_Rn = np.empty((len(signs_Rn), len(sizes)))
    about = window(sizes, lowest_sizes(sizes, losses[None])[0])
    parts = [(about, about)]
    parts += [(window(sizes, size), sizes == size) for size in np.unique(sizes[~about])]
    for near, wanted in parts:
        table, _ = design(sizes[near])
        fitted = table @ np.linalg.lstsq(table, losses[near], rcond=None)[0]
        residual = losses[near] - fitted
        drawn = resampled(fitted, residual, table, places[near], signs_Rn[:, near], OF_CURVE)
        again_Rn[:, wanted] = drawn[:, wanted[near]]
    return again_Rn


def bias_on_grid(
    runs: Runs, parabolas: Sequence[Parabola], truth: Frontier
) -> tuple[float, float] | None:
    """Returns the bias of approach 2 on these sizes, if the parametric law is true.

    The law's own noise-free losses at the runs' N and D are treated as the measured ones: windows,
    minima, weights. The result minus the law's own optima is bias of the method alone: of the size
    exponent, and of ln N at the middle budget. None: too few of these curves have a minimum.
    """
    assert truth.law is not None
    exact = truth.law.loss(runs.sizes, runs.tokens)
    kept = [parabola for parabola in parabolas if not parabola.refusal]
    own = [runs.budgets == parabola.budget_flops for parabola in kept]
    log_sizes = np.array([minima(runs.sizes[mask], exact[:, mask])[0] for mask in own])
    there = np.isfinite(log_sizes)
    if there.sum() < MINIMUM_BUDGETS:
        return None
    budgets = np.array([parabola.budget_flops for parabola in kept])[there]
    variances = minimum_variances(kept)[there]
    level, exponent = power_laws(budgets, log_sizes[None, there], variances)[0].tolist()
    true_level = float(truth.log_optimum(geometric_mean(budgets))[0][0])
    return exponent - float(truth.numbers[0]), level - true_level


def approach3(
    runs: Runs,
    modality: str,
    method: str,
    cost: Cost,
    signs_Rn: Array,
    start: Laws | None = None,
) -> Frontier:
    """Returns the power laws that the fitted parametric law implies.

    ``start`` replaces the grid of starts: a law of nearly the same runs.

    Raises:
        Refused: too few runs, sizes or budgets, or a number that exponents need lies at a bound.
    """
    law, losses = fit_law(runs, modality, method, start), runs.losses[modality]
    _refuse_bounds(law, runs)
    samples = law.none
    if len(signs_Rn):
        fitted = np.log(law.loss(runs.sizes, runs.tokens)[0])
        # Huber's passes through some runs exactly; their scatter is what least squares leaves.
        smooth = fit_projection(runs.sizes, runs.tokens, losses[None])
        residual = np.log(losses / smooth.loss(runs.sizes, runs.tokens)[0])
        table = smooth.log_derivatives(runs.sizes, runs.tokens)
        again = resampled(fitted, residual, table, runs.places, signs_Rn, OF_LAW)
        samples = FITS[method](runs.sizes, runs.tokens, np.exp(again), start=law)
    return frontier_of_laws(method, runs.c0, law, samples, cost)


def fit_law(runs: Runs, modality: str, method: str, start: Laws | None = None) -> Laws:
    """Returns the fitted parametric law alone, whatever its numbers.

    Raises:
        Refused: too few runs, sizes or levels of compute.
    """
    if len(runs.sizes) < MINIMUM_RUNS:
        raise Refused(f"{len(runs.sizes)} runs; five numbers need at least {MINIMUM_RUNS}")
    if min(len(np.unique(runs.sizes)), len(np.unique(runs.groups))) < 3:
        raise Refused(
            "fewer than three sizes or three levels of compute: α and β cannot be told apart"
        )
    return FITS[method](runs.sizes, runs.tokens, runs.losses[modality][None], start=start)


def _refuse_bounds(law: Laws, runs: Runs) -> None:
    """Refuses a law where a number that its exponents need lies at a bound."""
    there = law.at_bounds(runs.sizes, runs.tokens)
    values = {"A": "A = 0", "B": "B = 0", "α": f"α = {law.alpha_R[0]:.2g}"}
    values["β"] = f"β = {law.beta_R[0]:.2g}"
    wrong = [value for name, value in values.items() if there[name][0]]
    if wrong:
        raise Refused(
            f"{', '.join(wrong)} lies at a bound: these losses do not show how they fall with N "
            "and D both; widen sizes and budgets or add seeds"
        )


def leave_groups_out(
    runs: Runs,
    modality: str,
    parabolas: Sequence[Parabola],
    estimates: Mapping[str, Frontier],
) -> dict[str, dict[float, float]]:
    """Returns each method's error at every budget, or quantile of compute, when it is left out."""
    errors: dict[str, dict[float, float]] = {method: {} for method in estimates}
    kept = [parabola for parabola in parabolas if not parabola.refusal]
    for left in kept if len(kept) >= 3 and "parabola" in errors else ():
        others = [parabola for parabola in kept if parabola is not left]
        law = fit_power_law(
            np.array([parabola.budget_flops for parabola in others]),
            np.array([parabola.minimum for parabola in others]),
            minimum_variances(others),
        )
        errors["parabola"][left.budget_flops] = law.at(left.budget_flops) / left.minimum - 1
    for method in estimates.keys() & FITS.keys():
        for group in np.unique(runs.groups).tolist():
            seen = runs.groups != group
            try:
                law3 = fit_law(runs.only(seen), modality, method, start=estimates[method].law)
            except Refused:
                continue
            told = law3.loss(runs.sizes[~seen], runs.tokens[~seen])[0]
            ratio = told / runs.losses[modality][~seen] - 1
            errors[method][group] = float(np.sqrt((ratio**2).mean()))
    return errors
