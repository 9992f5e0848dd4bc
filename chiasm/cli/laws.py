"""Fits and forecasts as tables on the terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from chiasm.intervals import Estimate
from chiasm.scaling.fit import Fit
from chiasm.scaling.flags import Flag, Kind
from chiasm.scaling.forecast import (
    OffOptimum,
    Optimum,
    OwnOptimum,
    off_optimum,
    relative_growth,
    relative_need,
)
from chiasm.scaling.frontier import CONSTANTS, TITLES, Frontier
from chiasm.scaling.law import Cost
from chiasm.scaling.markdown import size_told
from chiasm.scaling.runs import SizeMeasure

SHOWN = 8
"""Flags of one kind that a terminal shows."""

Growth = tuple[str, str, float, Estimate, Estimate]
"""(modality, against which, N, growth of the data need since the reference, the ratio itself)."""

Price = tuple[str, str, OffOptimum]
"""(modality, whose size it is trained at, what that costs)."""


def print_fit(found: Fit) -> None:
    """Exponents by modality and method, their gaps, and every flag."""
    table = Table("modality", "method", "a: N ∝ C^a", "b: D ∝ C^b", "left-out error")
    for name, own in found.modalities.items():
        for method, estimate in own.estimates.items():
            errors = [abs(error) for error in own.left_out.get(method, {}).values()]
            table.add_row(
                name,
                TITLES[method],
                told(estimate.size_exponent),
                told(estimate.token_exponent),
                f"{sum(errors) / len(errors):.2%}" if errors else "",
            )
    for (method, first, other), number in found.gaps().items():
        table.add_row(f"{first} - {other}", TITLES[method], told(number), "", "")
    Console().print(table)
    _print_constants(found)
    if any(own.left_out for own in found.modalities.values()):
        print("left-out error: of the optimal size (approach 2), of the losses (approach 3)")
    print(size_told(found))
    print_flags(found.flags)


def _print_constants(found: Fit) -> None:
    table = Table("modality", "method", *CONSTANTS)
    for name, own in found.modalities.items():
        for method, estimate in own.estimates.items():
            if constants := estimate.constants:
                told = (f"{value:.4g}" for value in constants.values())
                table.add_row(name, TITLES[method], *told)
    if table.row_count:
        Console().print(table)
        print("loss = E + A/N^α + B/D^β")


def print_flags(flags: Sequence[Flag]) -> None:
    """Flags by their weight, the first of each; fit.json and fit.md have all."""
    for kind in Kind:
        own = [str(flag) for flag in flags if flag.kind is kind]
        for text in own[:SHOWN]:
            print(f"{kind}: {text}")
        if len(own) > SHOWN:
            print(f"{kind}: and {len(own) - SHOWN} more, see fit.md")


def print_optima(optima: Sequence[tuple[str, str, Optimum]], size: SizeMeasure) -> None:
    """Compute-optimal sizes and tokens of each modality by a method."""
    if not optima:
        return
    table = Table("budget", "modality", "method", f"N: {size.label}", "D (all tokens)", "D/N")
    for name, method, value in optima:
        table.add_row(
            f"{value.budget_flops:.3g}",
            name,
            TITLES[method],
            *(told(number) for number in (value.size, value.tokens, value.tokens_per_parameter)),
        )
    Console().print(table)


def print_own_optima(optima: Sequence[tuple[str, OwnOptimum]], size: SizeMeasure) -> None:
    """How to train given sizes for each modality."""
    if not optima:
        return
    table = Table(f"N: {size.label}", "best for", "budget", "D (all tokens)")
    for name, own in optima:
        table.add_row(f"{own.size:.3g}", name, told(own.budget_flops), told(own.tokens))
    Console().print(table)


def beyond_measured(
    known: Fit, estimates: Mapping[str, Frontier], budgets: Sequence[float], sizes: Sequence[float]
) -> list[str]:
    """How far budgets and sizes lie outside of what was measured, as factors; empty where not."""
    low, high = known.compute
    lines = [
        f"budget {budget:.3g} lies a factor of {max(budget / high, low / budget):.2g} outside of "
        f"the measured {low:.3g} to {high:.3g} FLOPs; the intervals do not know that"
        for budget in budgets
        if not low <= budget <= high
    ]
    largest = max(float(np.exp(own.log_optimum(high)[0][0])) for own in estimates.values())
    far = [size for size in sizes if size > largest]
    if far:
        lines.append(
            f"sizes of {', '.join(f'{size:.3g}' for size in far)} lie a factor of "
            f"{min(far) / largest:.2g} or more beyond the largest measured optimum, {largest:.3g}"
        )
    return lines


def growth_rows(
    estimates: Mapping[str, Frontier], sizes: Sequence[float], reference: float
) -> list[Growth]:
    """Every later modality against the first, at every size, since models of ``reference``."""
    first, *others = estimates
    return [
        (
            other,
            first,
            size,
            relative_growth(estimates[other], estimates[first], size, reference),
            relative_need(estimates[other], estimates[first], size),
        )
        for other in others
        for size in sizes
    ]


def price_rows(
    estimates: Mapping[str, Frontier], cost: Cost, budgets: Sequence[float]
) -> list[Price]:
    """Every modality at the size that is best for every other."""
    return [
        (name, other, price)
        for budget in budgets
        for name, estimate in estimates.items()
        for other in estimates
        if other != name
        if (price := off_optimum(estimate, estimates[other], cost, budget)) is not None
    ]


def print_growth(growth: Sequence[Growth], reference: float) -> None:
    """How the need for data grows with size."""
    if not growth:
        return
    since = f"growth since {reference:.3g}"
    table = Table("optimal data of", "against", "N", since, "ratio itself")
    for other, first, size, grown, ratio in growth:
        table.add_row(other, first, f"{size:.3g}", f"×{told(grown)}", told(ratio))
    Console().print(table)


def print_prices(prices: Sequence[Price]) -> None:
    """What one shared size costs each modality."""
    if not prices:
        return
    table = Table("budget", "modality", "at the size of", "loss", "best loss", "compute factor")
    for name, other, price in prices:
        numbers = (price.loss, price.best_loss, price.compute_factor)
        table.add_row(
            f"{price.budget_flops:.3g}", name, other, *(told(number) for number in numbers)
        )
    Console().print(table)


def told(number: Estimate) -> str:
    """Such as 0.464 [0.40, 0.52]; exponents with their standard error."""
    if math.isnan(number.value):  # a typed law without an anchor has no level
        return "unknown"
    error = f" ± {number.standard_error:.2g}" if number.standard_error < 1 else ""
    interval = f" [{number.low:.3g}, {number.high:.3g}]" if not math.isnan(number.low) else ""
    return f"{number.value:.3g}{error}{interval}"


def value_json(value: Optimum | OffOptimum | OwnOptimum) -> dict[str, Any]:
    """Its numbers with their intervals."""
    return {
        name: item.to_json() if isinstance(item, Estimate) else item
        for name, item in vars(value).items()
    }


def growth_json(row: Growth) -> dict[str, Any]:
    """One row of the growth table."""
    other, first, size, grown, ratio = row
    return {
        "of": other,
        "against": first,
        "active_parameters": size,
        "growth": grown.to_json(),
        "ratio": ratio.to_json(),
    }
