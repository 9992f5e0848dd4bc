"""Fits and forecasts as tables on the terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from chiasm.scaling.estimate import TITLES
from chiasm.scaling.fit import Fit
from chiasm.scaling.forecast import OffOptimum, Optimum
from chiasm.scaling.record import number_json
from chiasm.scaling.resample import Number

Growth = tuple[str, str, float, Number, Number]
"""(modality, against which, N, growth of the data need since 1e9 parameters, the ratio itself)."""

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
    if any(own.left_out for own in found.modalities.values()):
        print("left-out error: of the optimal size (approach 2), of the losses (approach 3)")
    for flag in found.flags:
        print(f"flag: {flag}")


def print_optima(optima: Sequence[tuple[str, Optimum]]) -> None:
    """Compute-optimal sizes and tokens."""
    if not optima:
        return
    table = Table("budget", "modality", "N active", "D (all tokens)", "D/N")
    for name, value in optima:
        table.add_row(
            f"{value.budget_flops:.3g}",
            name,
            *(
                told(number)
                for number in (value.active_parameters, value.tokens, value.tokens_per_parameter)
            ),
        )
    Console().print(table)


def print_growth(growth: Sequence[Growth]) -> None:
    """How the need for data grows with size."""
    if not growth:
        return
    table = Table("optimal data of", "against", "N", "growth since 1e9", "ratio itself")
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


def told(number: Number) -> str:
    """Such as 0.464 [0.40, 0.52]; exponents with their standard error."""
    if math.isnan(number.value):  # a typed law without an anchor has no level
        return "unknown"
    error = f" ± {number.standard_error:.2g}" if number.standard_error < 1 else ""
    interval = f" [{number.low:.3g}, {number.high:.3g}]" if not math.isnan(number.low) else ""
    return f"{number.value:.3g}{error}{interval}"


def value_json(value: Optimum | OffOptimum) -> dict[str, Any]:
    """Its numbers with their intervals."""
    return {
        name: number_json(Number(**item)) if isinstance(item, dict) else item
        for name, item in asdict(value).items()
    }


def growth_json(row: Growth) -> dict[str, Any]:
    """One row of the growth table."""
    other, first, size, grown, ratio = row
    return {
        "of": other,
        "against": first,
        "active_parameters": size,
        "growth": number_json(grown),
        "ratio": number_json(ratio),
    }
