"""The figures of the atlas as SVG: classes, S, tasks, flow time, places.

Shape suffixes: G groups, Q blocks with a router, R routed experts, V vision experts of all blocks;
3 = text, multimodal, vision.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chiasm.evaluation.atlas.atlas import NOISE, SPREADS, Atlas
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.spread import Spread
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.intervals import Interval
from chiasm.report.atlas import published
from chiasm.report.atlas.maps import place_map, source_map
from chiasm.report.charts import (
    GREY,
    PALETTE,
    colour_bar,
    figure_of,
    heat_map,
    lengths,
    styled,
    svg,
    whiskers,
)

COLOURS = {"text": "#0b6e8f", "multimodal": "#9374b5", "vision": "#d1603d"}
DIVERGING = mpl.colors.LinearSegmentedColormap.from_list(
    "modality", (COLOURS["vision"], "#f8fafc", COLOURS["text"])
)

SIDESTEP = 0.2
"""Distance between the classes of a block, in blocks."""

BELOW: dict[str, Any] = {
    "fontsize": 8.5,
    "loc": "upper left",
    "bbox_to_anchor": (0, -0.2),
    "borderaxespad": 0,
}
"""Keyword arguments of a legend under its panel, where it covers nothing."""

MOST_NUMBERS = 8
"""Most blocks that are numbered in a panel, or named in a legend."""


@styled
def draw_figures(atlas: Atlas) -> dict[str, str]:
    """Returns name → SVG, for the sections that were measured."""
    drawn: dict[str, Callable[[], str]] = {}
    special, tasks = atlas.specialisation, atlas.tasks
    if special is not None:
        drawn["classes"] = lambda: _classes(special, atlas.blocks)
        drawn["specialisation"] = lambda: _specialisation(special, atlas)
    if tasks is not None:
        drawn["tasks"] = lambda: _tasks(atlas, tasks)
    if NOISE in atlas.spreads:
        drawn["noise"] = lambda: _noise(atlas)
    if set(atlas.spreads) - {NOISE}:
        drawn["spreads"] = lambda: _spreads(atlas)
    if {"text by source", "vision by source"} & set(atlas.spreads):
        drawn["sources"] = lambda: source_map(atlas)
    if "vision by place" in atlas.spreads:
        drawn["places"] = lambda: place_map(atlas)
    return {name: draw() for name, draw in drawn.items()}


def _classes(special: Specialisation, blocks: Sequence[int]) -> str:
    """Returns a figure of the share of each class of experts, beside the article's."""
    figure = figure_of(3.6)
    own, other = figure.subplots(1, 2, sharey=True)
    _points(own, blocks, special.share_Q3)
    unused_Q = special.unused_Q / special.value_QR.shape[1]
    if unused_Q.any():
        own.plot(blocks, unused_Q, "x", color=GREY, label="unused")
    theirs = np.array((published.TEXT, published.MULTIMODAL, published.VISION)).T
    share_Q3, unknown = theirs / published.EXPERTS, np.full(theirs.shape, np.nan)
    _points(other, range(len(theirs)), Interval(share_Q3, unknown, unknown))
    own.set(
        title="Experts by what they serve", ylabel="share of routed experts", ylim=(-0.03, 1.03)
    )
    other.set(title=f"Published ({published.ARTICLE})")
    handles, labels = own.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return svg(figure, "classes")


def _points(axes: Axes, blocks: Sequence[int], share_Q3: Interval) -> None:
    """Draws a point and its whisker for each class, side by side in every block."""
    at_Q = np.asarray(blocks)
    for number, name in enumerate(CLASSES):
        value, *ends = (each[:, number] for each in (share_Q3.value, share_Q3.low, share_Q3.high))
        look = {"color": COLOURS[name], "markersize": 5, "linewidth": 0.8, "elinewidth": 2}
        beside_Q = at_Q + SIDESTEP * (number - 1)
        whiskers(axes, beside_Q, value, lengths(value, *ends), label=name, **look)
    _number_blocks(axes, blocks)


def _specialisation(special: Specialisation, atlas: Atlas) -> str:
    """Returns a figure of S of every expert, in descending order in each block."""
    num_blocks = len(atlas.blocks)
    figure = figure_of(1.3 + 0.28 * num_blocks)
    axes = figure.subplots()
    sorted_QR = -np.sort(-special.value_QR, axis=1)  # unused experts, nan, come last
    image = heat_map(axes, sorted_QR, cmap=DIVERGING, vmin=-1, vmax=1)
    axes.set_yticks(range(num_blocks), [str(block) for block in atlas.blocks])
    axes.set(
        title="Specialisation S of every routed expert, sorted in each block",
        xlabel="rank of the expert",
        ylabel="block",
    )
    bar = colour_bar(figure, image, axes, ticks=(-1, 0, 1))
    bar.set_yticklabels(["vision", "both", "text"])
    return svg(figure, "specialisation")


def _tasks(atlas: Atlas, tasks: Tasks) -> str:
    """Returns a figure of the correlation per block, by flow time, and of every expert.

    The correlation stands between its floor and its ceiling.
    """
    figure = figure_of(3.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    middle.sharey(left)
    between = tasks.between
    error = lengths(between.value, between.low, between.high)
    look = {"color": PALETTE[0], "markersize": 6, "label": "read against drawn"}
    whiskers(left, atlas.blocks, between.value, error, **look)
    left.plot(atlas.blocks, tasks.halves_Q, "^", color=GREY, label="read, half against half")
    left.plot(atlas.blocks, tasks.with_text_Q, "v", color=PALETTE[1], label="read against text")
    least = published.LEAST_CORRELATION
    left.axhline(least, color=GREY, linestyle="--", linewidth=1, label=f"published: ≥ {least}")
    left.set(title="Understanding, generation", ylabel="correlation over experts")
    left.legend(**BELOW, ncols=2)
    _number_blocks(left, atlas.blocks)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(atlas.blocks)))
    for block, colour, own_G in zip(atlas.blocks, colours, tasks.by_time_GQ.T, strict=True):
        middle.plot(tasks.times, own_G, color=colour, label=f"block {block}")
    middle.set(title="By flow time of the drawn", xlabel="flow time (0 noise, 1 data)")
    _scatter(right, tasks, colours)
    handles, labels = (each[:: _step(atlas.blocks)] for each in middle.get_legend_handles_labels())
    right.legend(handles, labels, **BELOW, ncols=3, handlelength=1)
    return svg(figure, "tasks")


def _scatter(axes: Axes, tasks: Tasks, colours: np.ndarray) -> None:
    for colour, x_R, y_R in zip(colours, tasks.read_QR, tasks.drawn_QR, strict=True):
        axes.plot(x_R, y_R, "o", color=colour, markersize=3.5, alpha=0.8)
    top = 1.05 * float(max(tasks.read_QR.max(), tasks.drawn_QR.max()))
    axes.plot([0, top], [0, top], color=GREY, linewidth=0.8)
    axes.set(title="Every expert", xlabel="R, read pictures", ylabel="R, drawn pictures")
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _noise(atlas: Atlas) -> str:
    """Returns a figure of variation over flow time per block, beside chance, with the rates."""
    spread = atlas.spreads[NOISE]
    figure = figure_of(3.7)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    _draw_spread(left, spread, atlas.blocks)
    level = published.NOISE_VARIATION
    left.axhline(level, color=PALETTE[3], linestyle="--", linewidth=1, label=f"published: {level}")
    left.set(title="Vision experts", ylabel="coefficient of variation", ylim=(0, None))
    left.legend(**BELOW, ncols=2)
    _draw_noise_rates(right, figure, atlas)
    return svg(figure, "noise")


def _draw_noise_rates(axes: Axes, figure: Figure, atlas: Atlas) -> None:
    """Draws a heat map of every vision expert's rate in each tenth of flow time over its mean."""
    spread, special = atlas.spreads[NOISE], atlas.specialisation
    assert special is not None
    chosen_QR = special.of_vision(atlas.settings.cutoff)
    relative_GV = (spread.rate_GQR / spread.rate_GQR.mean(axis=0).clip(1e-12))[:, chosen_QR]
    image = heat_map(axes, relative_GV, cmap="PuOr_r", vmin=0, vmax=2, origin="lower")
    ends_Q = chosen_QR.sum(axis=1).cumsum()
    starts_Q = ends_Q - chosen_QR.sum(axis=1)
    for end in ends_Q[:-1]:
        axes.axvline(end - 0.5, color="#0f172a", linewidth=0.8)
    axes.set_xticks((starts_Q + ends_Q - 1) / 2, [str(block) for block in atlas.blocks])
    axes.set_yticks(range(0, len(spread.groups), 2), spread.groups[::2])
    axes.set(
        title="Their rate over its mean", xlabel="experts, by block", ylabel="flow time (0 noise)"
    )
    colour_bar(figure, image, axes, ticks=(0, 1, 2))


def _spreads(atlas: Atlas) -> str:
    """Returns a figure with one panel for every other grouping, on one scale."""
    names = [name for name in atlas.spreads if name != NOISE]
    figure = figure_of(3.2)
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    for axes, name in zip(panels, names, strict=True):
        _draw_spread(axes, atlas.spreads[name], atlas.blocks)
        axes.set_title(_in_lines(SPREADS[name]), fontsize=9.5)
    panels[0].set(ylabel="coefficient of variation", ylim=(0, None))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return svg(figure, "spreads")


def _in_lines(told: str) -> str:
    """Returns what varies, and below it between what, in lines no wider than a small panel."""
    what, between = told.split(", ")
    return f"{what},\n{textwrap.fill(between, 15)}"


def _draw_spread(axes: Axes, spread: Spread, blocks: Sequence[int]) -> None:
    axes.plot(blocks, spread.value_Q, "o-", color=PALETTE[0], label="measured")
    axes.plot(blocks, spread.shuffled_Q, "s:", color=GREY, markersize=4, label="groups shuffled")
    axes.plot(
        blocks, spread.multinomial_Q, "x:", color=PALETTE[4], markersize=5, label="multinomial"
    )
    _number_blocks(axes, blocks)


def _number_blocks(axes: Axes, blocks: Sequence[int]) -> None:
    """Labels the block axis with whole numbers, as many as there is room for."""
    axes.set_xticks(blocks[:: _step(blocks)])
    axes.set(xlabel="block", xlim=(blocks[0] - 0.6, blocks[-1] + 0.6))


def _step(blocks: Sequence[int]) -> int:
    return math.ceil(len(blocks) / MOST_NUMBERS)
