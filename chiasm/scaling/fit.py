"""Both approaches on one table, with intervals, held-out errors and everything that looks wrong.

For each modality: a parabola per budget and a power law through the minima (approach 2), and the
parametric law fitted twice (approach 3). In a multimodal run N is the active parameters, D all
positions of the mixture and C all FLOPs of the run, whatever the modality: a modality differs by
its own loss alone, and "its" optimal D is the whole mixture's at the size that is best for it
(arXiv 2603.03276, section 7). With constant shares of the mixture, a modality's own tokens are a
constant times D, so the exponents are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from chiasm.errors import UserError
from chiasm.scaling.estimate import TITLES, Estimate, estimate_of_laws
from chiasm.scaling.flags import approach2_flags, bias_on_grid, disagreements, unbracketed
from chiasm.scaling.law import Array, Cost, fit_huber, fit_projection
from chiasm.scaling.parabola import Parabola, design, fit_parabola, minima, minimum_variances
from chiasm.scaling.points import Point
from chiasm.scaling.power import fit_power_law, power_laws
from chiasm.scaling.resample import Number, draw_signs, resampled
from chiasm.scaling.runs import Runs

MINIMUM_BUDGETS = 3
"""Minima that a power law needs, so that it has something to miss."""

MINIMUM_RUNS = 8
"""Runs that the five numbers of the parametric law need."""

BIAS_OF_EXPONENT = 0.01
"""Of approach 2's exponent, below which it is not worth a word."""

BIAS_OF_SIZE = 0.05
"""Of its ln N, likewise."""

FITS = {"huber": fit_huber, "projection": fit_projection}


@dataclass(frozen=True)
class ModalityFit:
    """All that is said of one modality."""

    parabolas: tuple[Parabola, ...]
    estimates: Mapping[str, Estimate]
    """By method; a method that refused is not here."""
    refusals: Mapping[str, str]
    """By method."""
    left_out: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """Method → budget → relative error of what it predicts for that budget from the others:
    parabola: of the optimal size; the others: root mean square over the budget's losses."""
    optima: tuple[tuple[float, float, float], ...] = ()
    """Budget, size and tokens of each published optimum, where these are all there is."""
    parabola_bias: tuple[float, float] | None = None
    """Of approach 2's size exponent, and of its ln N at the middle budget, on exactly these sizes
    and budgets if approach 3's law were the truth."""


@dataclass(frozen=True)
class Fit:
    """A whole table's fit."""

    source: str
    modalities: Mapping[str, ModalityFit]
    flags: tuple[str, ...]
    cost: Cost | None = None

    def gaps(self) -> dict[tuple[str, str, str], Number]:
        """(method, first modality, other) → first's size exponent minus the other's."""
        first, *others = self.modalities
        found = {}
        for other in others:
            one, two = self.modalities[first].estimates, self.modalities[other].estimates
            for method in one.keys() & two.keys():
                found[method, first, other] = gap(one[method], two[method])
        return {key: found[key] for key in sorted(found)}


def gap(one: Estimate, other: Estimate) -> Number:
    """Difference of two size exponents, resample by resample."""
    difference = one.rows[:, 0] - other.rows[:, 0]
    error = None
    if one.errors and other.errors:
        error = float(np.hypot(one.errors[0], other.errors[0]))
    return Number.of(difference[0], difference[1:], error)


def fit_points(
    points: Sequence[Point], *, source: str = "", resamples: int = 1000, seed: int = 0
) -> Fit:
    """Fit every modality of a table by every method that the table allows.

    Raises:
        UserError: a table that no law can hold for, or that every method refuses.
    """
    runs = Runs.of(points)
    signs_Rn = draw_signs(resamples, len(points), seed)
    cost = Cost.of(runs.sizes, runs.tokens, runs.flops)
    modalities = {name: fit_modality(runs, name, cost, signs_Rn) for name in runs.losses}
    refused = [
        f"{name}: {TITLES[method]} is refused: {reason}"
        for name, fit in modalities.items()
        for method, reason in fit.refusals.items()
    ]
    flags = [
        f"{name}: {flag}"
        for name, fit in modalities.items()
        for flag in (
            *approach2_flags(fit.parabolas, runs.cells, runs.budgets, fit.estimates),
            *bias_flags(fit),
            *unbracketed(fit.parabolas, fit.estimates),
            *disagreements(fit.estimates),
        )
    ]
    if not any(fit.estimates for fit in modalities.values()):
        raise UserError("\n".join(["no law can be fitted to this table", *refused, *flags]))
    return Fit(source, modalities, (*refused, *flags), cost)


def fit_modality(runs: Runs, modality: str, cost: Cost, signs_Rn: Array) -> ModalityFit:
    """One modality by all methods."""
    estimates: dict[str, Estimate] = {}
    parabolas = parabolas_of(runs, modality)
    refusals = {}
    reason = approach2_refusal(parabolas)
    if reason:
        refusals["parabola"] = reason
    else:
        estimates["parabola"] = approach2(runs, modality, parabolas, signs_Rn)
    for method in FITS:
        if reason := approach3_refusal(runs):
            refusals[method] = reason
        else:
            estimates[method] = approach3(runs, modality, method, cost, signs_Rn)
    bias = None
    if "parabola" in estimates and "projection" in estimates:
        truth = estimates["projection"]
        bias = bias_on_grid(parabolas, runs.budgets, runs.sizes, runs.tokens, truth)
    left_out = leave_budgets_out(runs, modality, parabolas, estimates)
    return ModalityFit(parabolas, estimates, refusals, left_out, parabola_bias=bias)


def parabolas_of(runs: Runs, modality: str) -> tuple[Parabola, ...]:
    """Every budget's curve, in ascending order; a budget of one size is none."""
    losses = runs.losses[modality]
    return tuple(
        fit_parabola(float(budget), runs.sizes[own], losses[own])
        for budget in np.unique(runs.budgets)
        for own in [runs.budgets == budget]
        if len(np.unique(runs.sizes[own])) > 1
    )


def approach2_refusal(parabolas: Sequence[Parabola]) -> str:
    """Why no power law goes through these minima; empty where one does."""
    kept = [parabola for parabola in parabolas if not parabola.refusal]
    if not parabolas:
        return "the runs do not come in budgets: no two sizes were given the same FLOPs"
    if len(kept) < MINIMUM_BUDGETS:
        return (
            f"{len(kept)} of {len(parabolas)} budgets have a minimum and a power law needs "
            f"{MINIMUM_BUDGETS}"
        )
    for lower, upper in pairwise(kept):
        if upper.lowest_loss >= lower.lowest_loss:
            return (
                f"the lowest loss at budget {upper.budget_flops:.3g}, {upper.lowest_loss:.4g}, is "
                f"not below that at {lower.budget_flops:.3g}, {lower.lowest_loss:.4g}: more "
                "compute did not help, so a size is not what limits these runs"
            )
    return ""


def approach3_refusal(runs: Runs) -> str:
    """Why the parametric law cannot be fitted; empty where it can."""
    if len(runs.sizes) < MINIMUM_RUNS:
        return f"{len(runs.sizes)} runs; five numbers need at least {MINIMUM_RUNS}"
    if min(len(np.unique(runs.sizes)), len(np.unique(runs.budgets))) < 3:
        return "fewer than three sizes or three budgets: α and β cannot be told apart"
    return ""


def approach2(
    runs: Runs, modality: str, parabolas: Sequence[Parabola], signs_Rn: Array
) -> Estimate:
    """Power laws through the minima, weighted by the minima's own variances."""
    kept = [parabola for parabola in parabolas if not parabola.refusal]
    budgets = np.array([parabola.budget_flops for parabola in kept])
    log_sizes, log_tokens, slopes = [], [], []
    for parabola in kept:
        own = runs.budgets == parabola.budget_flops
        table, centre = design(runs.sizes[own])
        losses = runs.losses[modality][own]
        fitted = table @ np.array(parabola.coefficients)
        again = resampled(fitted, losses - fitted, table, signs_Rn[:, own])
        u = minima(table, np.concatenate([losses[None], again]))
        # Beyond the grid's edge there is no minimum: such a resample is no more an optimum than
        # a curve that was refused.
        u[1:][np.abs(u[1:]) > parabola.half_span] = np.nan
        slope, level = np.polyfit(table[:, 1], np.log(runs.tokens[own]), 1)
        log_sizes.append(np.log(centre) + u)
        log_tokens.append(level + slope * u)
        slopes.append(slope)
    variances = minimum_variances(kept)
    rows = np.concatenate(
        [
            power_laws(budgets, np.stack(log_sizes, axis=1), variances)[:, ::-1],
            power_laws(budgets, np.stack(log_tokens, axis=1), variances)[:, ::-1],
        ],
        axis=1,
    )
    c0 = fit_power_law(budgets, np.ones(len(budgets))).c0
    return Estimate("parabola", c0, rows[0], rows[1:])


def approach3(runs: Runs, modality: str, method: str, cost: Cost, signs_Rn: Array) -> Estimate:
    """The parametric law and what it implies."""
    fit, losses = FITS[method], runs.losses[modality]
    law = fit(runs.sizes, runs.tokens, losses[None])
    fitted = np.log(law.loss(runs.sizes, runs.tokens)[0])
    # The Huber fit passes through some runs exactly; their scatter is what least squares leaves.
    smooth = fit_projection(runs.sizes, runs.tokens, losses[None])
    residual = np.log(losses / smooth.loss(runs.sizes, runs.tokens)[0])
    table = smooth.log_derivatives(runs.sizes, runs.tokens)
    again = resampled(fitted, residual, table, signs_Rn)
    samples = fit(runs.sizes, runs.tokens, np.exp(again), start=law)
    return estimate_of_laws(method, runs.c0, law, samples, cost)


def leave_budgets_out(
    runs: Runs,
    modality: str,
    parabolas: Sequence[Parabola],
    estimates: Mapping[str, Estimate],
) -> dict[str, dict[float, float]]:
    """How far each method is off at a budget that it has not seen."""
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
    for method in (method for method in estimates if method in FITS):
        for budget in (parabola.budget_flops for parabola in parabolas):
            seen = runs.budgets != budget
            if approach3_refusal(runs.only(seen)):
                continue
            law3 = FITS[method](
                runs.sizes[seen],
                runs.tokens[seen],
                runs.losses[modality][None, seen],
                start=estimates[method].law,
            )
            told = law3.loss(runs.sizes[~seen], runs.tokens[~seen])[0]
            ratio = told / runs.losses[modality][~seen] - 1
            errors[method][budget] = float(np.sqrt((ratio**2).mean()))
    return errors


def bias_flags(fit: ModalityFit) -> list[str]:
    """Where approach 2 is known to be off on this grid."""
    if fit.parabola_bias is None:
        return []
    of_exponent, of_size = fit.parabola_bias
    if abs(of_exponent) <= BIAS_OF_EXPONENT and abs(of_size) <= BIAS_OF_SIZE:
        return []
    return [
        "approach 2 is biased on this grid: noise-free losses of the parametric law at these sizes "
        f"give it a size exponent {of_exponent:+.3f} off and optimal sizes "
        f"{np.exp(of_size):.2f} times the true ones; trust approach 3, or sweep narrower sizes "
        "centred on the optimum"
    ]
