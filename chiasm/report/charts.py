"""What every figure is drawn with: one style, whiskers, heat maps, and SVG that stands alone."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

WIDTH_INCHES = 10.4
"""Of a figure as wide as the page."""

PALETTE = ("#0b6e8f", "#d1603d", "#5b8c3a", "#7b5ea7", "#b8860b", "#64748b")
"""Colours that stay apart for colour-blind readers."""

GREY = "#94a3b8"
"""Of what is there for comparison."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#334155",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e2e8f0",
    "grid.linewidth": 0.8,
    "xtick.color": "#64748b",
    "ytick.color": "#64748b",
    "legend.frameon": False,
    "svg.fonttype": "none",
}

styled = mpl.rc_context(STYLE)
"""Decorates what draws a figure."""


def figure_of(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """An empty figure whose parts make room for each other."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def svg(figure: Figure, salt: str) -> str:
    """The figure's <svg> element; its identifiers are salted so that two figures share none."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()[file.getvalue().index("<svg") :]


def lengths(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Whiskers [2, n] from values to the ends of their intervals; none where one is unknown."""
    down, up = np.subtract(value, low), np.subtract(high, value)
    return np.nan_to_num(np.stack([down, up])).clip(0)


def whiskers(axes: Axes, x: ArrayLike, value: ArrayLike, error: ArrayLike, **look: Any) -> None:
    """Values with their whiskers upwards and downwards, joined by a line; nan has no whisker."""
    given = {"marker": "o", "markersize": 4, "capsize": 3, **look}
    axes.errorbar(x, value, yerr=np.nan_to_num(error), **given)


def heat_map(axes: Axes, values: np.ndarray, **look: Any) -> AxesImage:
    """Values as colours, each of them a rectangle; what is not a number stays empty."""
    axes.grid(visible=False)
    shown = np.ma.masked_invalid(values)
    return axes.imshow(shown, aspect="auto", interpolation="nearest", **look)


def colour_bar(
    figure: Figure, image: AxesImage, axes: Axes | list[Axes], label: str = "", **look: Any
) -> Axes:
    """The scale of a heat map, beside it."""
    bar = figure.colorbar(image, ax=axes, pad=0.01, **look)
    bar.outline.set_visible(False)
    bar.set_label(label)
    return bar.ax
