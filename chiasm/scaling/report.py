"""Reports of a fit and of a forecast: as text for docs, on the terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from chiasm.intervals import LEVEL, Estimate
from chiasm.report import doc
from chiasm.report.numbers import estimate
from chiasm.scaling.fit import Fit, ModalityFit
from chiasm.scaling.flags import Flag, Kind, agree
from chiasm.scaling.forecast import (
    REFERENCE_PARAMETERS,
    off_optimum,
    optimum,
    reference_size,
    relative_growth,
    relative_need,
    trained_optimally,
)
from chiasm.scaling.frontier import CONSTANTS, TITLES, Frontier
from chiasm.scaling.runs import SizeMeasure

HEADINGS = {Kind.REFUSAL: "Refused:", Kind.WARNING: "Warnings:", Kind.NOTE: "Notes:"}

COLUMNS = {
    "budget_flops": "budget",
    "tokens": "D (all tokens)",
    "tokens_per_parameter": "D/N",
    "of": "optimal data of",
    "active_parameters": "N",
    "ratio": "ratio itself",
    "trained_for": "at the size of",
}
"""Name of a value → heading of its column, where they differ."""

SHOWN = 8
"""Number of flags of one kind that a terminal shows."""


def fit_report(fit: Fit) -> doc.Report:
    """Returns the report for docs: exponents and gaps by method, every budget's optimum, flags."""
    minima = [row for name, own in fit.modalities.items() for row in _minima(name, own)]
    columns = ("modality", "FLOPs", "sizes", "about the minimum", "best size", "lowest loss")
    flags: list[doc.Block] = []
    for kind, heading in HEADINGS.items():
        own = "\n".join(f"- {flag}" for flag in fit.flags if flag.kind is kind)
        flags += [doc.Prose(heading if own else ""), doc.Prose(own)]
    blocks = [
        doc.Figure("isoflop.svg" if minima else "", "Loss at equal FLOPs"),
        doc.Figure("optima.svg", "Optimal sizes and tokens"),
        doc.Prose("± is one standard error, brackets hold 95 % of the resamples."),
        doc.Prose(_size(fit)),
        _exponents(fit),
        *_constants(fit),
        doc.Table(minima, columns),
        *flags,
    ]
    return doc.Report(f"Scaling laws of {fit.source}", [doc.Section("", blocks)])


def fit_shown(fit: Fit) -> list[doc.Block]:
    """Returns what the terminal shows of a fit; fit.md has all."""
    left_out = any(own.left_out for own in fit.modalities.values())
    told = "left-out error: of the optimal size (approach 2), of the losses (approach 3)"
    return [
        _exponents(fit, left_out=left_out),
        *_constants(fit),
        doc.Prose(told if left_out else ""),
        doc.Prose(_size(fit)),
        *flags_shown(fit.flags),
    ]


def flags_shown(flags: Sequence[Flag]) -> Iterator[doc.Prose]:
    """Yields flags by severity, the first of each."""
    for kind in Kind:
        own = [f"{kind}: {flag}" for flag in flags if flag.kind is kind]
        more = [f"{kind}: and {len(own) - SHOWN} more, see fit.md"] if len(own) > SHOWN else []
        yield doc.Prose("\n".join(own[:SHOWN] + more))


def forecast_report(
    known: Fit | None,
    by_modality: Mapping[str, Mapping[str, Frontier]],
    method: str,
    budgets: Sequence[float],
    asked: Sequence[float],
) -> doc.Report:
    """Returns optimal sizes and tokens, growth of the data need, and the price of a shared size.

    Args:
        known: the fit; None where exponents were typed.
        by_modality: the estimates of every method.
        method: used for growth and prices.
        budgets: in FLOPs.
        asked: sizes; without any, growth is given for a hundred and a thousand times the reference
            size.
    """
    estimates = {name: own[method] for name, own in by_modality.items()}
    reference = REFERENCE_PARAMETERS
    if known is not None:
        reference = reference_size(estimates, known.compute[1])
    sizes = asked or [100 * reference, 1000 * reference]
    optima = [
        {"modality": name, "method": way, **vars(optimum(own[way], flops))}
        for flops in budgets
        for name, own in by_modality.items()
        for way in ([method] if agree(own) else own)
    ]
    own_optima = [
        {"modality": name, **vars(trained_optimally(each, size))}
        for size in asked
        for name, each in estimates.items()
    ]
    growth = list(_growth(estimates, sizes, reference))
    prices = list(_prices(known, estimates, budgets))
    beyond: list[str] = []
    flags: list[Flag] = []
    if known is not None:
        beyond = list(_beyond(known, estimates, budgets, sizes if growth else asked))
        flags = [flag for flag in known.flags if flag.concerns(method)]
    size = known.size if known is not None else SizeMeasure.PARAMETERS
    of_what = "of the resamples" if known is not None else "of what the rounding leaves open"
    n, since = f"N: {size.label}", f"growth since {reference:.3g}"
    optimal = ("size", "tokens", "tokens_per_parameter")
    loss = ("loss", "best_loss", "compute_factor")
    blocks: list[doc.Block] = [
        doc.Prose(f"by {TITLES[method]}; [low, high]: {LEVEL:.0%} {of_what}"),
        doc.Prose("\n".join(f"warning: {text}" for text in beyond)),
        _table(optima, "budget_flops", "modality", "method", *optimal, size=n),
        _table(
            own_optima, "size", "modality", "budget_flops", "tokens", size=n, modality="best for"
        ),
        _table(growth, "of", "against", "active_parameters", "growth", "ratio", growth=since),
        _table(prices, "budget_flops", "modality", "trained_for", *loss),
        *flags_shown(flags),
    ]
    return doc.Report(
        title="Forecast",
        sections=[doc.Section("", blocks)],
        record={
            "method": method,
            "size": size,
            "optima": optima,
            "optimal_budgets": own_optima,
            "growth_since": reference,
            "growth": growth,
            "off_optimum": prices,
            "beyond": beyond,
            "flags": [str(flag) for flag in flags],
        },
    )


def _table(records: Sequence[Mapping[str, Any]], *names: str, **titles: str) -> doc.Table:
    """Returns a row for each record: these values of it, under :data:`COLUMNS` and these titles."""
    rows = [[_cell(name, record[name]) for name in names] for record in records]
    columns = COLUMNS | titles
    return doc.Table(rows, [columns.get(name, name.replace("_", " ")) for name in names])


def _cell(name: str, value: str | float | Estimate) -> doc.Words:
    match value:
        case Estimate():
            error = value.standard_error if value.standard_error < 1 else math.nan
            told = estimate(value.value, error, (value.low, value.high), form=".3g")
            return ("×", told) if name == "growth" else told
        case str():
            return TITLES.get(value, value)
        case _:
            return f"{value:.3g}"


def _growth(
    estimates: Mapping[str, Frontier], sizes: Sequence[float], reference: float
) -> Iterator[dict[str, Any]]:
    """Yields every later modality against the first, at every size, since ``reference``."""
    first, *others = estimates
    for other in others:
        for size in sizes:
            yield {
                "of": other,
                "against": first,
                "active_parameters": size,
                "growth": relative_growth(estimates[other], estimates[first], size, reference),
                "ratio": relative_need(estimates[other], estimates[first], size),
            }


def _prices(
    known: Fit | None, estimates: Mapping[str, Frontier], budgets: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Yields the price of every modality at the size that is best for every other."""
    if known is None or known.cost is None:
        return
    for budget in budgets:
        for name, other in permutations(estimates, 2):
            price = off_optimum(estimates[name], estimates[other], known.cost, budget)
            if price is not None:
                yield {"modality": name, "trained_for": other, **vars(price)}


def _beyond(
    known: Fit, estimates: Mapping[str, Frontier], budgets: Sequence[float], sizes: Sequence[float]
) -> Iterator[str]:
    """Yields how far budgets and sizes lie outside of what was measured, as factors."""
    low, high = known.compute
    for budget in budgets:
        if not low <= budget <= high:
            yield (
                f"budget {budget:.3g} lies a factor of {max(budget / high, low / budget):.2g} "
                f"outside of the measured {low:.3g} to {high:.3g} FLOPs; the intervals do not know "
                "that"
            )
    largest = max(float(np.exp(own.log_optimum(high)[0][0])) for own in estimates.values())
    if far := [size for size in sizes if size > largest]:
        yield (
            f"sizes of {', '.join(f'{size:.3g}' for size in far)} lie a factor of "
            f"{min(far) / largest:.2g} or more beyond the largest measured optimum, {largest:.3g}"
        )


def _size(fit: Fit) -> str:
    """Returns the measure of N and the cost of a token, in one line."""
    told = f"N: {fit.size.label}; measured from {fit.compute[0]:.3g} to {fit.compute[1]:.3g} FLOPs"
    cost = fit.parameters_cost
    if cost is None:
        return told
    return (
        f"{told}; FLOPs per token are {cost.kappa:.3g}·P^{cost.gamma:.3f} of P active parameters, "
        f"within {cost.deviation:.1%}"
    )


def _exponents(fit: Fit, *, left_out: bool = False) -> doc.Table:
    """Returns a table of exponents, with the mean error of left-out data if ``left_out``."""
    rows: list[list[doc.Words]] = []
    for name, modality in fit.modalities.items():
        for method, own in modality.estimates.items():
            errors = [abs(error) for error in modality.left_out.get(method, {}).values()]
            mean = f"{sum(errors) / len(errors):.2%}" if errors else ""
            exponents = (_exponent(own.size_exponent), _exponent(own.token_exponent))
            rows.append([name, TITLES[method], *exponents, mean])
    for (method, first, other), gap in fit.gaps().items():
        rows.append([f"{first} − {other}", TITLES[method], _exponent(gap), "", ""])
    columns = ("modality", "method", "a in N ∝ C^a", "b in D ∝ C^b", "left-out error")
    shown = len(columns) if left_out else len(columns) - 1
    return doc.Table([row[:shown] for row in rows], columns[:shown])


def _exponent(number: Estimate) -> doc.Words:
    return estimate(number.value, number.standard_error, (number.low, number.high))


def _constants(fit: Fit) -> list[doc.Block]:
    rows = [
        [name, TITLES[method], *(f"{value:.4g}" for value in own.constants.values())]
        for name, modality in fit.modalities.items()
        for method, own in modality.estimates.items()
        if own.constants
    ]
    law = "The laws, loss = E + A/N^α + B/D^β:" if rows else ""
    return [doc.Prose(law), doc.Table(rows, ("modality", "method", *CONSTANTS))]


def _minima(name: str, own: ModalityFit) -> Iterator[list[doc.Words]]:
    for parabola in own.parabolas:
        best = [f"none: {parabola.refusal}", ""]
        if not parabola.refusal:
            best = [f"{parabola.minimum:.3g}", f"{parabola.lowest_loss:.4g}"]
        ends = ((min(parabola.sizes), max(parabola.sizes)), parabola.window)
        ranges = (f"{low:.3g} to {high:.3g}" for low, high in ends)
        yield [name, f"{parabola.budget_flops:.3g}", *ranges, *best]
