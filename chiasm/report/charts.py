"""Style and parts of all figures: whiskers, heat maps, and self-contained SVG."""

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
"""Width of a figure that fills the page."""

PALETTE = ("#0b6e8f", "#d1603d", "#5b8c3a", "#7b5ea7", "#b8860b", "#64748b")
"""Colours that colour-blind readers can tell apart."""

GREY = "#94a3b8"
"""Colour of references for comparison."""

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
"""Decorator of functions that draw figures."""


def figure_of(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """Returns an empty figure with constrained layout."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def svg(figure: Figure, salt: str) -> str:
    """Returns the figure's <svg> element; identifiers are salted so that two figures share none."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()[file.getvalue().index("<svg") :]


def lengths(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Returns whiskers [2, n] from values to the ends of their intervals; 0 for unknown ones."""
    down, up = np.subtract(value, low), np.subtract(high, value)
    return np.nan_to_num(np.stack([down, up])).clip(0)


def whiskers(axes: Axes, x: ArrayLike, value: ArrayLike, error: ArrayLike, **look: Any) -> None:
    """Draws values with whiskers up and down, joined by a line; nan has no whisker."""
    given = {"marker": "o", "markersize": 4, "capsize": 3, **look}
    axes.errorbar(x, value, yerr=np.nan_to_num(error), **given)


def heat_map(axes: Axes, values: np.ndarray, **look: Any) -> AxesImage:
    """Draws values as coloured rectangles; what is not a number stays empty."""
    axes.grid(visible=False)
    shown = np.ma.masked_invalid(values)
    return axes.imshow(shown, aspect="auto", interpolation="nearest", **look)


def colour_bar(
    figure: Figure, image: AxesImage, axes: Axes | list[Axes], label: str = "", **look: Any
) -> Axes:
    """Draws the scale of a heat map beside it; returns its axes."""
    bar = figure.colorbar(image, ax=axes, pad=0.01, **look)
    bar.outline.set_visible(False)
    bar.set_label(label)
    return bar.ax
