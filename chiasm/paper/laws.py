"""What a fit says, as a flat list of numbers: small enough to be kept, without its resamples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chiasm.intervals import Estimate
from chiasm.paper.findings import LawMeasureSettings, Quantity
from chiasm.scaling import Fit, relative_growth

GROWTH_SIZES = (1e11, 1e12)
"""Active parameters to which the growth of the need for data is told, as in the paper."""


@dataclass(frozen=True)
class LawNumber:
    """One number of one method, with its 95 % interval; None where the interval is not known."""

    quantity: Quantity
    of: str
    minus: str
    size: float | None
    method: str
    value: float
    low: float | None
    high: float | None
    gamma: float
    """FLOPs of a token grow as N to this in the fit; 1 where C = 6·N·D."""


def law_numbers(fit: Fit) -> list[LawNumber]:
    """Exponents, gaps and growth by every method of a fit."""
    gamma = fit.cost.gamma if fit.cost is not None else 1.0
    numbers = (*_exponents(fit), *_gaps(fit), *_growth(fit))
    return [replace(number, gamma=gamma) for number in numbers]


def asked(numbers: Sequence[LawNumber], measure: LawMeasureSettings) -> list[LawNumber]:
    """The number that is asked for, by every method that has it."""
    wanted = (measure.quantity, measure.of, measure.minus, measure.size)
    return [n for n in numbers if (n.quantity, n.of, n.minus, n.size) == wanted]


def difference(first: LawNumber, second: LawNumber) -> LawNumber:
    """first - second of two independent fits.

    The limits are recovered from those of the parts, which need not be symmetric (MOVER: Zou &
    Donner 2008, doi 10.1002/sim.3095).
    """
    value = first.value - second.value
    (low, high), (other_low, other_high) = _limits(first), _limits(second)
    return replace(
        first,
        value=value,
        low=_known(value - math.hypot(first.value - low, other_high - second.value)),
        high=_known(value + math.hypot(high - first.value, second.value - other_low)),
    )


def _limits(number: LawNumber) -> tuple[float, float]:
    low, high = (math.nan if limit is None else limit for limit in (number.low, number.high))
    return low, high


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _exponents(fit: Fit) -> Iterator[LawNumber]:
    for modality, own in fit.modalities.items():
        for method, estimate in own.estimates.items():
            yield _number("size_exponent", modality, "", None, method, estimate.size_exponent)
            yield _number("token_exponent", modality, "", None, method, estimate.token_exponent)


def _gaps(fit: Fit) -> Iterator[LawNumber]:
    for (method, first, other), number in fit.gaps().items():
        yield _number("gap", first, other, None, method, number)


def _growth(fit: Fit) -> Iterator[LawNumber]:
    first, *others = fit.modalities
    for other in others:
        one, two = fit.modalities[first].estimates, fit.modalities[other].estimates
        for method in sorted(one.keys() & two.keys()):
            for size in GROWTH_SIZES:
                grown = relative_growth(two[method], one[method], size)
                yield _number("growth", other, first, size, method, grown)


def _number(
    quantity: Quantity, of: str, minus: str, size: float | None, method: str, number: Estimate
) -> LawNumber:
    low, high = _known(number.low), _known(number.high)
    return LawNumber(quantity, of, minus, size, method, number.value, low, high, gamma=1.0)
