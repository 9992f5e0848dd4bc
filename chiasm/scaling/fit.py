"""Both approaches on one table, with intervals, held-out errors and warnings.

For each modality: a parabola about each budget's lowest loss and a power law through the minima
(approach 2), and the parametric law fitted twice (approach 3). In a multimodal run N is the active
parameters, D all positions of the mixture and C all FLOPs of the run, whatever the modality: a
modality differs by its own loss alone, and "its" optimal D is the whole mixture's at the size that
is best for it (arXiv 2603.03276, section 7). With constant shares of the mixture, a modality's own
tokens are a constant times D, so the exponents are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chiasm.errors import UserError
from chiasm.intervals import Estimate
from chiasm.scaling.approaches import (
    FITS,
    Refused,
    approach2,
    approach3,
    bias_on_grid,
    leave_groups_out,
    parabolas_of,
)
from chiasm.scaling.flags import (
    Flag,
    Kind,
    approach2_flags,
    bias_flags,
    bounds_flags,
    cost_flags,
    disagreements,
    missing_sizes,
    unbracketed,
)
from chiasm.scaling.frontier import TITLES, Frontier
from chiasm.scaling.influence import leaning, worse_with_more
from chiasm.scaling.law import Array, Cost
from chiasm.scaling.parabola import Parabola
from chiasm.scaling.points import Point
from chiasm.scaling.resample import draw_signs
from chiasm.scaling.residuals import (
    Outliers,
    alike_seeds,
    find_outliers,
    law_lacks_fit,
    outlier_flag,
    parabolas_lack_fit,
)
from chiasm.scaling.runs import Runs, SizeMeasure


@dataclass(frozen=True)
class ModalityFit:
    """The results of one modality."""

    parabolas: tuple[Parabola, ...]
    estimates: Mapping[str, Frontier]
    """Estimate of each method that did not refuse."""
    refusals: Mapping[str, str]
    """Reason of each method that refused."""
    left_out: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """Method → budget, or middle of a quantile of compute → relative error of the prediction there
    from the others: of the optimal size for parabolas; root mean square over the losses for the
    laws.
    """
    optima: tuple[tuple[float, float, float], ...] = ()
    """Budget, size and tokens of each published optimum, where a fit has nothing else."""
    parabola_bias: tuple[float, float] | None = None
    """Fitted minus true size exponent of approach 2, and ln N at the middle budget, on exactly
    these sizes and budgets if approach 3's law were the truth.
    """
    outliers: Outliers | None = None
    """Runs far from the Huber law."""


@dataclass(frozen=True)
class Fit:
    """The fit of a whole table."""

    source: str
    modalities: Mapping[str, ModalityFit]
    flags: tuple[Flag, ...]
    compute: tuple[float, float]
    """Smallest and largest measured FLOPs."""
    size: SizeMeasure = SizeMeasure.PARAMETERS
    """Measure of N."""
    cost: Cost | None = None
    """FLOPs of a token as a function of N."""
    parameters_cost: Cost | None = None
    """FLOPs of a token as a function of active parameters, whatever N is."""

    def gaps(self) -> dict[tuple[str, str, str], Estimate]:
        """Returns (method, first modality, other) → first's size exponent minus the other's."""
        first, *others = self.modalities
        found = {}
        for other in others:
            one, two = self.modalities[first].estimates, self.modalities[other].estimates
            for method in one.keys() & two.keys():
                found[method, first, other] = gap(one[method], two[method])
        return {key: found[key] for key in sorted(found)}


def gap(one: Frontier, other: Frontier) -> Estimate:
    """Returns the difference of two size exponents, resample by resample."""
    difference = one.rows[:, 0] - other.rows[:, 0]
    error = None
    if one.errors and other.errors:
        error = float(np.hypot(one.errors[0], other.errors[0]))
    return Estimate.of_samples(difference[0], difference[1:], error)


def fit_points(
    points: Sequence[Point],
    *,
    source: str = "",
    size: SizeMeasure = SizeMeasure.PARAMETERS,
    resamples: int = 1000,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Fit:
    """Returns the fit of every modality of a table by every method that the table allows.

    Args:
        points: the table.
        source: its name.
        size: measure of N.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        notes: changes made to the table before, for the flags.

    Raises:
        UserError: a table that no law can hold for, or that every method refuses.
    """
    runs = Runs.of(points, size)
    signs_Rn = draw_signs(resamples, runs.places, seed)
    cost = runs.cost(size)
    modalities = {name: fit_modality(runs, name, cost, signs_Rn) for name in runs.losses}
    flags = [
        *(Flag(Kind.NOTE, text) for text in notes),
        *cost_flags(cost),
        *missing_sizes(runs),
        *(
            replace(flag, modality=name)
            for name, own in modalities.items()
            for flag in modality_flags(runs, name, cost, own)
        ),
    ]
    flags.sort(key=lambda flag: list(Kind).index(flag.kind))
    if not any(own.estimates for own in modalities.values()):
        raise UserError("\n".join(["no law can be fitted to this table", *map(str, flags)]))
    by_parameters = Runs.of(points).cost(SizeMeasure.PARAMETERS)
    compute = float(runs.flops.min()), float(runs.flops.max())
    return Fit(source, modalities, tuple(flags), compute, size, cost, by_parameters)


def fit_modality(runs: Runs, modality: str, cost: Cost, signs_Rn: Array) -> ModalityFit:
    """Returns the fit of one modality by all methods."""
    estimates: dict[str, Frontier] = {}
    refusals: dict[str, str] = {}
    parabolas = parabolas_of(runs, modality)
    for method in ("parabola", *FITS):
        try:
            if method in FITS:
                estimates[method] = approach3(runs, modality, method, cost, signs_Rn)
            else:
                estimates[method] = approach2(runs, modality, parabolas, signs_Rn)
        except Refused as reason:
            refusals[method] = str(reason)
    bias = None
    if "parabola" in estimates and "projection" in estimates:
        bias = bias_on_grid(runs, parabolas, estimates["projection"])
    outliers = None
    if "huber" in estimates and (law := estimates["huber"].law) is not None:
        outliers = find_outliers(runs, modality, cost, law)
    left_out = leave_groups_out(runs, modality, parabolas, estimates)
    return ModalityFit(
        parabolas, estimates, refusals, left_out, parabola_bias=bias, outliers=outliers
    )


def modality_flags(runs: Runs, modality: str, cost: Cost, own: ModalityFit) -> Iterator[Flag]:
    """Yields all warnings about one modality."""
    laws = {name: each.law for name, each in own.estimates.items() if each.law is not None}
    for method, reason in own.refusals.items():
        yield Flag(Kind.REFUSAL, f"{TITLES[method]}: {reason}", methods=(method,))
    if own.outliers is not None:
        yield outlier_flag(own.outliers, laws)
    kept = [parabola for parabola in own.parabolas if not parabola.refusal]
    yield from alike_seeds(runs, modality)
    if "parabola" in own.estimates:
        yield from parabolas_lack_fit(runs, modality, kept)
    if "projection" in laws:
        yield from law_lacks_fit(runs, modality, laws["projection"])
    yield from disagreements(own.estimates)
    yield from leaning(runs, modality, cost, own.estimates)
    yield from worse_with_more(runs, modality)
    yield from bias_flags(own.parabola_bias)
    yield from unbracketed(own.parabolas, own.estimates)
    yield from bounds_flags(runs, own.estimates)
    yield from approach2_flags(runs, own.parabolas, own.estimates)
