"""Forecasts of a law for budgets and sizes that were not trained.

Everything is computed for the estimate and for each of its resamples, so that every number has an
interval. The further a forecast lies from the measured budgets, the more it depends on the form of
the law; the interval does not account for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.errors import UserError
from chiasm.intervals import Estimate
from chiasm.scaling.frontier import Frontier
from chiasm.scaling.law import Array, Cost

REFERENCE_PARAMETERS = 1e9
"""Growth of the data need is relative to this size, as in the paper."""

ANCHOR_WITHIN = 0.1
"""Largest relative difference between 6·N·D of a typed optimum and its C."""

TYPED = re.compile(r"(?P<name>\w+)=(?P<a>0?\.\d+)/(?P<b>0?\.\d+)$")
ANCHOR = re.compile(r"(?P<name>\w+)=(?P<c>[^/]+)/(?P<n>[^/]+)/(?P<d>[^/]+)$")


@dataclass(frozen=True)
class Optimum:
    """The best way to spend a budget on one modality."""

    budget_flops: float
    size: Estimate
    """N, as the fit measures it."""
    tokens: Estimate
    """Tokens of all modalities in the mixture, as everywhere."""
    tokens_per_parameter: Estimate


@dataclass(frozen=True)
class OwnOptimum:
    """The budget and tokens for which a model of a given size is optimal for one modality."""

    size: float
    """N, as the fit measures it."""
    budget_flops: Estimate
    tokens: Estimate
    """Tokens of all modalities in the mixture."""


@dataclass(frozen=True)
class OffOptimum:
    """The price for a modality where the model has the size that is best for another."""

    budget_flops: float
    loss: Estimate
    best_loss: Estimate
    compute_factor: Estimate
    """Compute relative to the modality's own optimum at the same loss."""


def optimum(estimate: Frontier, budget_flops: float) -> Optimum:
    """Returns the compute-optimal size and tokens at a budget."""
    log_size, log_tokens = estimate.log_optimum(budget_flops)
    return Optimum(
        budget_flops,
        _number(np.exp(log_size)),
        _number(np.exp(log_tokens)),
        _number(np.exp(log_tokens - log_size)),
    )


def trained_optimally(estimate: Frontier, size: float) -> OwnOptimum:
    """Returns the budget and the tokens for which a model of ``size`` is the best one."""
    rows = estimate.rows
    beyond = (np.log(size) - rows[:, 1]) / rows[:, 0]
    return OwnOptimum(
        size,
        _number(np.exp(np.log(estimate.c0) + beyond)),
        _number(np.exp(rows[:, 3] + rows[:, 2] * beyond)),
    )


def reference_size(estimates: Mapping[str, Frontier], largest_budget_flops: float) -> float:
    """Returns the reference of growth: the paper's 1e9, or the largest measured optimum.

    The latter, to one digit, where it is far below.
    """
    optima = (own.log_optimum(largest_budget_flops)[0][0] for own in estimates.values())
    largest = float(np.exp(max(optima)))
    return REFERENCE_PARAMETERS if largest > REFERENCE_PARAMETERS / 10 else float(f"{largest:.0e}")


def data_need(estimate: Frontier) -> Array:
    """Returns b/a of D_opt ∝ N^(b/a): [1 + R]."""
    rows = estimate.rows
    return rows[:, 2] / rows[:, 0]


def relative_growth(
    other: Frontier, first: Frontier, size: float, reference: float = REFERENCE_PARAMETERS
) -> Estimate:
    """Returns the growth of D_other / D_first from ``reference`` to ``size`` parameters.

    (size / reference)^(b/a of other - b/a of first). It is growth, not the ratio itself.
    """
    power = data_need(other) - data_need(first)
    return _number(np.exp(power * np.log(size / reference)))


def relative_need(other: Frontier, first: Frontier, size: float) -> Estimate:
    """Returns D_other / D_first itself, each optimal for a model of ``size`` parameters."""

    def log_tokens(estimate: Frontier) -> Array:
        rows = estimate.rows
        return rows[:, 3] + rows[:, 2] / rows[:, 0] * (np.log(size) - rows[:, 1])

    return _number(np.exp(log_tokens(other) - log_tokens(first)))


def off_optimum(
    estimate: Frontier, trained_for: Frontier, cost: Cost, budget_flops: float
) -> OffOptimum | None:
    """Returns a modality's loss at the size that is best for another, and the wasted compute.

    At its optimum a law's loss above E falls as C^(-αa), so a loss L is worth the compute C·((L -
    E) / (L_best - E))^(-1/(αa)). None: the estimate has no parametric law.
    """
    if estimate.law is None or estimate.law_samples is None:
        return None
    log_sizes, _ = trained_for.log_optimum(budget_flops)
    parts = []
    for laws, sizes in (
        (estimate.law, np.exp(log_sizes[:1])),
        (estimate.law_samples, np.exp(log_sizes[1:])),
    ):
        best = laws.optimal_sizes(np.array([budget_flops]), cost)
        floor = np.exp(laws.numbers_RP[:, 0])
        best_loss, loss = (
            laws.loss(own, cost.tokens(np.array(budget_flops), own))[:, 0]
            for own in (best, sizes[:, None])
        )
        decay = laws.alpha_R * laws.beta_R / (laws.alpha_R + cost.gamma * laws.beta_R)
        factor = ((loss - floor) / (best_loss - floor)) ** (1 / decay)
        parts.append(np.stack([loss, best_loss, factor]))
    values = np.concatenate(parts, axis=1)
    return OffOptimum(budget_flops, *(_number(row) for row in values))


def typed_estimates(
    exponents: Sequence[str], anchors: Sequence[str] = (), resamples: int = 1000, seed: int = 0
) -> dict[str, Frontier]:
    """Returns estimates from exponents as they are printed, such as ``text=0.47/0.53``.

    The resamples span what the printed digits leave open: with C = 6·N·D both exponents sum to 1,
    so that a is uniform where it and 1 - a both round to what is printed. ``anchors``, such as
    ``text=1e21/3.4e9/4.9e10``, give one known optimum (budget, parameters, tokens); without one
    there are exponents but no absolute sizes.

    Raises:
        UserError: unreadable, an exponent given twice, exponents that cannot sum to 1, or an anchor
            without exponents.
    """
    random = np.random.default_rng(seed)
    estimates: dict[str, Frontier] = {}
    levels = _anchors(anchors)
    for text in exponents:
        match = TYPED.match(text)
        if match is None or match["name"] in estimates:
            raise UserError(
                f"--exponents {text}: write each modality once as NAME=a/b with a and b between 0 "
                "and 1, such as text=0.47/0.53"
            )
        values = np.array([float(match["a"]), float(match["b"])])
        digits = [len(match[name].partition(".")[2]) for name in "ab"]
        half_units = 0.5 * 10.0 ** -np.array(digits)
        # Both a and 1 - a must round to the printed digits.
        low = max(values[0] - half_units[0], 1 - values[1] - half_units[1])
        high = min(values[0] + half_units[0], 1 - values[1] + half_units[1])
        if low > high + 1e-9:
            raise UserError(
                f"--exponents {text}: a + b = {values.sum():.4g}, and with C = 6·N·D they sum to 1 "
                "within their rounding; give exponents of N and D that do"
            )
        budget, size, tokens = levels.pop(match["name"], (1.0, np.nan, np.nan))
        size_exponents = random.uniform(low, max(low, high), resamples)
        drawn = np.stack([size_exponents, 1 - size_exponents], axis=1)
        level = np.log([size, tokens])
        rows = np.concatenate([values[None], drawn])
        table = np.stack(
            [
                *(rows[:, 0], np.full(len(rows), level[0])),
                *(rows[:, 1], np.full(len(rows), level[1])),
            ],
            axis=1,
        )
        estimates[match["name"]] = Frontier("typed", budget, table[0], table[1:])
    if levels:
        raise UserError(f"--anchor {', '.join(levels)}: no --exponents name it; give them as well")
    return estimates


def _anchors(anchors: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    found = {}
    for text in anchors:
        match = ANCHOR.match(text)
        try:
            assert match is not None
            values = (float(match["c"]), float(match["n"]), float(match["d"]))
            assert min(values) > 0
            ratio = 6 * values[1] * values[2] / values[0]
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"--anchor {text}: write NAME=FLOPS/PARAMETERS/TOKENS, such as "
                "text=1e21/3.4e9/4.9e10"
            ) from error
        if abs(ratio - 1) > ANCHOR_WITHIN:
            raise UserError(
                f"--anchor {text}: 6·N·D is {ratio:.3g} times its FLOPs; give an optimum with "
                "C = 6·N·D, for which typed exponents are"
            )
        found[match["name"]] = values
    return found


def common_method(estimates: Mapping[str, Mapping[str, Frontier]], wanted: str = "") -> str:
    """Returns the method to forecast by: ``wanted``, or the first that every modality has.

    Raises:
        UserError: no method, or not the wanted one, fits all modalities.
    """
    preference = ("projection", "huber", "parabola", "optima", "typed")
    there = [name for name in preference if all(name in own for own in estimates.values())]
    if not there or (wanted and wanted not in there):
        raise UserError(
            f"--method {wanted or 'any'}: not fitted for every modality; there is: "
            f"{', '.join(there) or 'none'}"
        )
    return wanted or there[0]


def _number(values: Array) -> Estimate:
    return Estimate.of_samples(values[0], values[1:])
