"""The metrics of all cells as one SVG: every seed, the mean, and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from chiasm.report.charts import GREY, PALETTE, figure_of, styled, svg
from chiasm.studies.table import Entry

COLUMNS = 3
PANEL_INCHES = (3.5, 0.42)
"""Width of a panel, and height of one cell in it."""


@styled
def comparison_figure(entries: Sequence[Entry], baseline: str) -> str:
    """Returns an SVG with one panel for each metric that has a number; empty where none has."""
    shown = [entry.metric for entry in entries if entry.mean is not None]
    metrics = [
        (metric, [entry for entry in entries if entry.metric == metric])
        for metric in dict.fromkeys(shown)
    ]
    if not metrics:
        return ""
    columns = min(COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    height = rows * (0.9 + PANEL_INCHES[1] * max(len(own) for _, own in metrics))
    figure = figure_of(height, PANEL_INCHES[0] * columns)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for axes, (metric, own) in zip(panels, metrics, strict=False):
        _draw(axes, own, baseline)
        arrow = "→" if own[0].better == "higher" else "←"
        axes.set(title=metric, xlabel=f"{own[0].unit}   (better {arrow})")
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    return svg(figure, "study")


def _draw(axes: Axes, entries: Sequence[Entry], baseline: str) -> None:
    for place, entry in enumerate(entries):
        if entry.mean is None:
            continue
        look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)]}
        seeds = list(entry.values.values())
        axes.plot(seeds, [place] * len(seeds), "o", alpha=0.35, markersize=4, **look)
        half_width = float(np.nan_to_num(entry.mean.half_width))
        axes.errorbar([entry.mean.value], [place], xerr=[half_width], marker="D", capsize=3, **look)
        if entry.cell == baseline:
            axes.axvline(entry.mean.value, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(entries)), [entry.cell for entry in entries])
    axes.set_ylim(len(entries) - 0.5, -0.5)
