"""Warnings about doubtful numbers of a fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from chiasm.intervals import Estimate
from chiasm.scaling.frontier import TITLES, Frontier
from chiasm.scaling.law import Cost
from chiasm.scaling.parabola import Parabola
from chiasm.scaling.runs import Runs

TOO_WIDE = 32.0
"""Largest over smallest size that shapes a parabola, above which the curve is none."""

TOO_NARROW = 4.0
"""Ratio of the same sizes below which noise decides the curvature."""

OFF_CENTRE = 0.5
"""Distance between the minimum and the middle of those sizes, in half spans."""

FAILED = 0.05
"""Share of resamples without a minimum, or at a bound, above which an interval is conditional."""

BIAS_OF_EXPONENT = 0.01
"""Bias of approach 2's exponent below which there is no warning."""

BIAS_OF_SIZE = 0.05
"""Bias of its ln N below which there is no warning."""

ODD_COST = 0.05
"""Difference of γ from 1, and of FLOPs per token from κ·N^γ, above which a + b = 1 fails."""


TOLD = 1e-3
"""One unit of the last printed digit of an exponent: smaller differences count as equal."""


class Kind(StrEnum):
    """Severity of a flag."""

    REFUSAL = "refused"
    """A method, or a budget of one, has no result."""
    WARNING = "warning"
    """A number is likely off, or its interval too narrow."""
    NOTE = "note"


@dataclass(frozen=True)
class Flag:
    """One warning."""

    kind: Kind
    text: str
    modality: str = ""
    """Modality that it concerns; empty: the whole table."""
    methods: tuple[str, ...] = ()
    """Methods that it concerns; empty: all."""

    def __str__(self) -> str:
        """Returns the text with its modality."""
        return f"{self.modality}: {self.text}" if self.modality else self.text

    def concerns(self, method: str) -> bool:
        """Returns whether it bears on the results of a method."""
        return not self.methods or method in self.methods


def warning(text: str, *methods: str) -> Flag:
    """Returns a warning that concerns these methods, or all."""
    return Flag(Kind.WARNING, text, methods=methods)


def cost_flags(cost: Cost) -> Iterator[Flag]:
    """Yields warnings where N is no measure of compute."""
    if abs(cost.gamma - 1) > ODD_COST:
        yield warning(
            f"FLOPs per token grow as N^{cost.gamma:.3f}, so b = 1 - {cost.gamma:.3f}·a, and a and "
            "b do not compare to those of C = 6·N·D; --size compute measures N so that they do"
        )
    if cost.deviation > ODD_COST:
        yield warning(
            f"FLOPs per token leave {cost.kappa:.3g}·N^{cost.gamma:.3f} by up to "
            f"{cost.deviation:.0%}: the cost of a size between the trained ones is uncertain"
        )


def missing_sizes(runs: Runs) -> Iterator[Flag]:
    """Yields budgets with fewer sizes than most have."""
    if not runs.has_budgets:
        return
    sizes = {
        budget: len(np.unique(runs.sizes[runs.budgets == budget]))
        for budget in np.unique(runs.budgets).tolist()
    }
    usual = Counter(sizes.values()).most_common(1)[0][0]
    for budget, count in sizes.items():
        if 1 < count < usual:
            yield warning(
                f"budget {budget:.3g} has {count} sizes where most have {usual}; was one lost?"
            )


def grid_width_flag(ratio: float) -> str:
    """Returns a warning if sizes that span this ratio do not suit a parabola; otherwise ""."""
    told = f"the sizes about the minimum span a factor of {ratio:.3g}"
    ratio = float(f"{ratio:.3g}")  # a geometric grid's 32 may be 32 + 1e-14
    if ratio > TOO_WIDE:
        return f"{told}, wide enough to bias a parabola; choose them closer"
    if ratio < TOO_NARROW:
        return f"{told}, so narrow that noise decides the curvature"
    return ""


def approach2_flags(
    runs: Runs, parabolas: Sequence[Parabola], estimates: Mapping[str, Frontier]
) -> Iterator[Flag]:
    """Yields budgets refused, grids off centre or of the wrong width, and runs off their curve."""
    methods = ("parabola",)
    for parabola in parabolas:
        where = f"budget {parabola.budget_flops:.3g}"
        if parabola.refusal:
            text = f"{where} has no minimum: {parabola.refusal}"
            yield Flag(Kind.REFUSAL, text, methods=methods)
            continue
        if text := grid_width_flag(float(np.exp(2 * parabola.half_span))):
            yield Flag(Kind.NOTE, f"{where}: {text}", methods=methods)
        if parabola.off_centre > OFF_CENTRE:
            text = (
                f"{where}: its minimum {parabola.minimum:.3g} is off centre, "
                f"{parabola.off_centre:.0%} of the way to the edge of the sizes about it"
            )
            yield Flag(Kind.NOTE, text, methods=methods)
        own = np.flatnonzero(runs.budgets == parabola.budget_flops)
        for run in parabola.odd:
            text = f"{where}: cell {runs.cells[own[run]]} lies far from the curve of the others"
            yield warning(text, *methods)
    if "parabola" in estimates:
        failed = float(np.isnan(estimates["parabola"].samples[:, 0]).mean())
        if failed > FAILED:
            yield warning(
                f"{failed:.0%} of the resamples lose a minimum, so approach 2's intervals hold "
                "only where all minima exist; they are too narrow",
                *methods,
            )


def unbracketed(parabolas: Sequence[Parabola], estimates: Mapping[str, Frontier]) -> Iterator[Flag]:
    """Yields approach 3's optima that lie outside the trained sizes."""
    for method, estimate in estimates.items():
        outside = [
            f"{parabola.budget_flops:.3g}"
            for parabola in parabolas
            for size in [np.exp(estimate.log_optimum(parabola.budget_flops)[0][0])]
            if not min(parabola.sizes) < size < max(parabola.sizes)
        ]
        if estimate.law is not None and outside:
            yield warning(
                f"{TITLES[method]} puts the optimum outside of the trained sizes at budget "
                f"{', '.join(outside)}: it is extrapolated there",
                method,
            )


def bounds_flags(runs: Runs, estimates: Mapping[str, Frontier]) -> Iterator[Flag]:
    """Yields laws and resamples that end at a bound."""
    for method, estimate in estimates.items():
        if estimate.law is None or estimate.law_samples is None:
            continue
        own = estimate.law.at_bounds(runs.sizes, runs.tokens)
        if own["E"][0]:
            yield warning(
                f"{TITLES[method]}: E = 0 lies at its bound: these budgets do not show the loss "
                "that no compute removes, and forecasts beyond them are too low",
                method,
            )
        samples = estimate.law_samples.at_bounds(runs.sizes, runs.tokens)
        shares = {name: float(mask.mean()) for name, mask in samples.items() if not own[name][0]}
        told = [f"{name} {share:.0%}" for name, share in shares.items() if share > FAILED]
        if told:
            yield warning(
                f"{TITLES[method]}: resamples end at a bound ({', '.join(told)}), so its intervals "
                "tell of the bounds too",
                method,
            )


def disagreements(estimates: Mapping[str, Frontier]) -> Iterator[Flag]:
    """Yields pairs of methods whose size exponents differ by more than their resamples do."""
    methods = list(estimates)
    for number, one in enumerate(methods):
        for two in methods[number + 1 :]:
            difference = estimates[one].rows[:, 0] - estimates[two].rows[:, 0]
            told = Estimate.of_samples(difference[0], difference[1:] - np.nanmean(difference[1:]))
            if excludes(told, difference[0]):
                yield warning(
                    f"{TITLES[one]} and {TITLES[two]} disagree: a = "
                    f"{estimates[one].numbers[0]:.3f} against {estimates[two].numbers[0]:.3f}",
                    one,
                    two,
                )


def excludes(told: Estimate, exponent: float) -> bool:
    """Returns whether an interval excludes an exponent by more than :data:`TOLD`; nan never."""
    return exponent < told.low - TOLD or exponent > told.high + TOLD


def agree(estimates: Mapping[str, Frontier]) -> bool:
    """Returns whether no two methods disagree."""
    return not any(disagreements(estimates))


def bias_flags(bias: tuple[float, float] | None) -> Iterator[Flag]:
    """Yields a warning where approach 2 is known to be biased on this grid.

    ``bias``: fitted minus true, of the size exponent and of ln N at the middle budget.
    """
    if bias is None or (abs(bias[0]) <= BIAS_OF_EXPONENT and abs(bias[1]) <= BIAS_OF_SIZE):
        return
    exponent, factor = f"{abs(bias[0]):.3f}", f"{np.exp(bias[1]):.2f}"
    parts = [
        f"a size exponent {exponent} too {'high' if bias[0] > 0 else 'low'}"
        * (exponent != "0.000"),
        f"optimal sizes {factor} times the true ones" * (factor != "1.00"),
    ]
    yield warning(
        "approach 2 is biased on this grid, if approach 3's law is right: of that law's losses "
        f"without noise at these sizes it makes {' and '.join(filter(None, parts))}; choose closer "
        "sizes, centred on the optimum",
        "parabola",
    )
