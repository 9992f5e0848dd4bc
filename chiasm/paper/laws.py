"""The results of a fit as a flat list of numbers: small enough to keep, without its resamples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from chiasm.intervals import Estimate, Interval, known
from chiasm.paper.findings import LawMeasureSettings, Quantity
from chiasm.scaling.fit import Fit
from chiasm.scaling.forecast import relative_growth

GROWTH_SIZES = (1e11, 1e12)
"""Active parameters at which growth of the need for data is reported, as in the paper."""


@dataclass(frozen=True)
class LawNumber:
    """One number of one method, with its 95 % interval; NaN if the interval is not known."""

    quantity: Quantity
    of: str
    minus: str
    size: float | None
    method: str
    value: float
    low: float
    high: float
    gamma: float
    """Power of N by which FLOPs per token grow in the fit; 1 where C = 6·N·D."""

    @property
    def interval(self) -> Interval[float]:
        """The number and its limits."""
        return Interval(self.value, self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON-able values; None for unknown limits."""
        return {**asdict(self), "low": known(self.low), "high": known(self.high)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LawNumber:
        """Returns the number from the content that :meth:`to_json` returned."""
        limits = {n: math.nan if content[n] is None else content[n] for n in ("low", "high")}
        return cls(**{**content, **limits})


def law_numbers(fit: Fit) -> list[LawNumber]:
    """Returns exponents, gaps and growth by every method of a fit."""
    gamma = fit.cost.gamma if fit.cost is not None else 1.0
    return [
        LawNumber(quantity, of, minus, size, method, number.value, number.low, number.high, gamma)
        for quantity, of, minus, size, method, number in _numbers(fit)
    ]


def _numbers(fit: Fit) -> Iterator[tuple[Quantity, str, str, float | None, str, Estimate]]:
    for modality, own in fit.modalities.items():
        for method, frontier in own.estimates.items():
            yield "size_exponent", modality, "", None, method, frontier.size_exponent
            yield "token_exponent", modality, "", None, method, frontier.token_exponent
    for (method, first, other), number in fit.gaps().items():
        yield "gap", first, other, None, method, number
    first, *others = fit.modalities
    for other in others:
        one, two = fit.modalities[first].estimates, fit.modalities[other].estimates
        for method in sorted(one.keys() & two.keys()):
            for size in GROWTH_SIZES:
                grown = relative_growth(two[method], one[method], size)
                yield "growth", other, first, size, method, grown


def asked(numbers: Sequence[LawNumber], measure: LawMeasureSettings) -> list[LawNumber]:
    """Returns the number that a measurement names, by every method that has it."""
    wanted = (measure.quantity, measure.of, measure.minus, measure.size)
    return [n for n in numbers if (n.quantity, n.of, n.minus, n.size) == wanted]


def difference(first: LawNumber, second: LawNumber) -> LawNumber:
    """Returns first - second of two independent fits.

    The limits are computed from those of both, which need not be symmetric, by MOVER (Zou & Donner
    2008, doi 10.1002/sim.3095).
    """
    value = first.value - second.value
    return replace(
        first,
        value=value,
        low=value - math.hypot(first.value - first.low, second.high - second.value),
        high=value + math.hypot(first.high - first.value, second.value - second.low),
    )
