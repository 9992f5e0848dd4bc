"""The sections on what the choice of experts depends on: flow time, sources, places."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from chiasm.evaluation.atlas.atlas import NOISE, SPREADS, Atlas
from chiasm.evaluation.atlas.spread import Excess
from chiasm.report.atlas.elements import decimal, plots, table

VARIATION = (
    "the standard deviation of an expert's rate over the groups, over its mean; then the mean over "
    "experts"
)

CHANCE = (
    "Multinomial: what as many independent choices would give. Shuffled: what is left when the "
    "groups change places inside each document (sources: among documents), which also knows that "
    "the positions of one picture choose alike, but evens out groups of different size. Neither is "
    "always the larger, so that both are shown, and a value is called more than chance only above "
    "97.5 % of both."
)


def noise_section(atlas: Atlas, figures: Mapping[str, str]) -> str:
    """How vision experts vary with flow time; empty where none is known."""
    if NOISE not in atlas.spreads:
        return ""
    return (
        "<h2>Does noise choose experts?</h2><p class='lead'>Every target picture is read at the "
        "middle of each tenth of flow time under the same noise. The coefficient of variation is "
        f"{VARIATION}; here over the tenths and the block's vision experts. {CHANCE}</p>"
        + plots(figures, "noise")
    )


def spread_section(atlas: Atlas, figures: Mapping[str, str]) -> str:
    """How all experts vary, and every coefficient beside chance."""
    if not atlas.spreads:
        return ""
    measure = (
        "The coefficient of variation between other groups of positions"
        if NOISE in atlas.spreads
        else f"The coefficient of variation is {VARIATION}. {CHANCE} Here it is taken"
    )
    header = (
        *("variation of", "block", "measured"),
        *("multinomial", "97.5 % below", "shuffled", "97.5 % below"),
    )
    rows = (
        (
            escape(SPREADS[name]) if place == 0 else "",
            str(block),
            _beside_chance(spread.value_Q[place], spread.verdicts[place]),
            decimal(spread.multinomial_Q[place]),
            decimal(spread.multinomial_high_Q[place]),
            decimal(spread.shuffled_Q[place]),
            decimal(spread.shuffled_high_Q[place]),
        )
        for name, spread in atlas.spreads.items()
        for place, block in enumerate(atlas.blocks)
    )
    return (
        f"<h2>What else the choice depends on</h2><p class='lead'>{measure}, over all experts, "
        "each weighed by its load: between tenths of flow time, between sources, between tenths of "
        "the longest document, between fields of the image. 0 is no dependence at all. In the maps "
        "experts go from text to vision, and the numbers below the fields are the experts'.</p>"
        + plots(figures, "spreads", "sources", "places")
        + table(header, rows)
    )


def _beside_chance(value: float, verdict: Excess) -> str:
    if verdict == Excess.UNKNOWN:
        return verdict
    more = verdict == Excess.MORE
    return f"{decimal(value)} " + (
        f'<span class="chip">{verdict}</span>' if more else f"({verdict})"
    )
