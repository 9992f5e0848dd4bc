"""A fit as Markdown, with its figures beside it: what is kept in docs and read there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chiasm.intervals import Estimate
from chiasm.scaling.fit import Fit, ModalityFit
from chiasm.scaling.flags import Kind
from chiasm.scaling.frontier import CONSTANTS, TITLES

HEADINGS = {Kind.REFUSAL: "Refused:", Kind.WARNING: "Warnings:", Kind.NOTE: "Notes:"}


def fit_markdown(fit: Fit) -> str:
    """Exponents and gaps by every method, the optimum of every budget, and every flag."""
    with_curves = any(own.parabolas for own in fit.modalities.values())
    parts = [
        f"# Scaling laws of {fit.source}",
        "![Loss at equal FLOPs](isoflop.svg)" if with_curves else "",
        "![Optimal sizes and tokens](optima.svg)",
        "± is one standard error, brackets hold 95 % of the resamples.",
        size_told(fit),
        _exponents(fit),
        _constants(fit),
        _minima(fit) if with_curves else "",
        *(_flags(fit, kind) for kind in Kind),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def size_told(fit: Fit) -> str:
    """What N is and what a token costs by it, in one line."""
    told = f"N: {fit.size.label}; measured from {fit.compute[0]:.3g} to {fit.compute[1]:.3g} FLOPs"
    cost = fit.parameters_cost
    if cost is None:
        return told
    return (
        f"{told}; FLOPs per token are {cost.kappa:.3g}·P^{cost.gamma:.3f} of P active parameters, "
        f"within {cost.deviation:.1%}"
    )


def _flags(fit: Fit, kind: Kind) -> str:
    own = [f"- {flag}" for flag in fit.flags if flag.kind is kind]
    return "\n".join([HEADINGS[kind], "", *own]) if own else ""


def _exponents(fit: Fit) -> str:
    rows = [
        [name, TITLES[method], _told(own.size_exponent), _told(own.token_exponent)]
        for name, modality in fit.modalities.items()
        for method, own in modality.estimates.items()
    ]
    rows += [
        [f"{first} − {other}", TITLES[method], _told(gap), ""]
        for (method, first, other), gap in fit.gaps().items()
    ]
    return _table(["modality", "method", "a in N ∝ C^a", "b in D ∝ C^b"], rows)


def _constants(fit: Fit) -> str:
    rows = [
        [name, TITLES[method], *(f"{value:.4g}" for value in own.constants.values())]
        for name, modality in fit.modalities.items()
        for method, own in modality.estimates.items()
        if own.constants
    ]
    law = "The laws, loss = E + A/N^α + B/D^β:"
    return f"{law}\n\n{_table(['modality', 'method', *CONSTANTS], rows)}" if rows else ""


def _minima(fit: Fit) -> str:
    rows = [row for name, own in fit.modalities.items() for row in _minima_of(name, own)]
    columns = ["modality", "FLOPs", "sizes", "about the minimum", "best size", "lowest loss"]
    return _table(columns, rows)


def _minima_of(name: str, own: ModalityFit) -> list[list[str]]:
    return [
        [
            name,
            f"{parabola.budget_flops:.3g}",
            *(
                f"{ends[0]:.3g} to {ends[1]:.3g}"
                for ends in ((min(parabola.sizes), max(parabola.sizes)), parabola.window)
            ),
            *(
                [f"none: {parabola.refusal}", ""]
                if parabola.refusal
                else [f"{parabola.minimum:.3g}", f"{parabola.lowest_loss:.4g}"]
            ),
        ]
        for parabola in own.parabolas
    ]


def _told(number: Estimate) -> str:
    interval = "" if math.isnan(number.low) else f" [{number.low:.3f}, {number.high:.3f}]"
    return f"{number.value:.3f} ± {number.standard_error:.3f}{interval}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
