"""Heat maps of expert loads: by source and by place in the image.

Shape suffixes: G groups, Q blocks with a router, R routed experts, K busiest of them.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from chiasm.evaluation.atlas.atlas import Atlas
from chiasm.report.charts import WIDTH_INCHES, colour_bar, figure_of, heat_map, svg

BUSIEST = 12
"""Number of experts of each block whose places are shown."""

LEAST_PLACES = 6
"""Least number of experts that a row has room for, so that the fields of a few do not grow huge."""

TITLE: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": 11, "fontweight": "bold"}
"""Keyword arguments of the title of a figure, in the style of a panel's."""

MOST_BAR_INCHES = 2.5
"""Most height of a colour scale beside many blocks."""

EVEN = mpl.colors.LinearSegmentedColormap.from_list("load", ("#f8fafc", "#0b6e8f", "#082f49"))
MOST_LOAD = 5.0
"""Upper end of the colours of loads at most, in multiples of an even load."""

MOST_RATE = 4.0
"""Upper end of the colours of places, in multiples of the expert's mean."""


def source_map(atlas: Atlas) -> str:
    """Returns a figure of the share of each source's assignments by expert, one panel per block."""
    rows, labels = [], []
    for name, told in (("text by source", "text"), ("vision by source", "pictures")):
        if name in atlas.spreads:
            rows.append(atlas.spreads[name].rate_GQR)
            labels += [f"{source}: {told}" for source in atlas.spreads[name].groups]
    load_GQR = np.concatenate(rows) * atlas.routed_experts
    num_blocks = len(atlas.blocks)
    num_columns = min(2, num_blocks)
    num_rows = -(-num_blocks // num_columns)
    height = 1.0 + (0.4 + 0.19 * len(labels)) * num_rows
    figure = figure_of(height)
    figure.suptitle("Which experts each source uses", **TITLE)
    panels = figure.subplots(num_rows, num_columns, sharey=True, squeeze=False).ravel()
    for axes in panels[num_blocks:]:
        axes.set_axis_off()
    top = min(MOST_LOAD, max(2.0, float(load_GQR.max())))
    for place, axes in enumerate(panels[:num_blocks]):
        ordered_GR = load_GQR[:, place][:, _order(atlas, place)]
        image = heat_map(axes, ordered_GR, cmap=EVEN, vmin=0, vmax=top)
        axes.set_title(f"block {atlas.blocks[place]}", fontsize=9.5)
        axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
        axes.set_xticks([])
        if place >= num_blocks - num_columns:  # nothing lies below it
            axes.set_xlabel(
                "experts, by number"
                if atlas.specialisation is None
                else "experts, from text to vision"
            )
    look = _scale(figure, more=load_GQR.max() > top)
    colour_bar(figure, image, panels.tolist(), "load, 1 is even", **look)
    return svg(figure, "sources")


def place_map(atlas: Atlas) -> str:
    """Returns a figure of the image fields that each block's busiest experts are chosen for."""
    spread = atlas.spreads["vision by place"]
    num_rows, num_columns = (
        1 + max(int(group.split(",")[side]) for group in spread.groups) for side in range(2)
    )
    mean_QR = spread.rate_GQR.mean(axis=0)
    busiest_QK = np.argsort(-mean_QR, axis=1, kind="stable")[:, :BUSIEST]
    shape = (
        len(atlas.blocks) * (num_rows + 1),
        max(LEAST_PLACES, busiest_QK.shape[1]) * (num_columns + 1) - 1,
    )
    mosaic = np.full(shape, np.nan)
    for (block, rank), expert in np.ndenumerate(busiest_QK):
        if mean_QR[block, expert]:
            relative = spread.rate_GQR[:, block, expert] / mean_QR[block, expert]
            top, left = block * (num_rows + 1), rank * (num_columns + 1)
            mosaic[top : top + num_rows, left : left + num_columns] = relative.reshape(
                num_rows, num_columns
            )
    side = (WIDTH_INCHES - 1.8) / shape[1]  # of a field; labels and colours take the rest
    figure = figure_of(0.5 + side * shape[0])
    _draw_mosaic(figure, mosaic, atlas, busiest_QK, (num_rows, num_columns))
    return svg(figure, "places")


def _draw_mosaic(
    figure: Figure,
    mosaic: np.ndarray,
    atlas: Atlas,
    busiest_QK: np.ndarray,
    field: tuple[int, int],
) -> None:
    axes = figure.subplots()
    image = heat_map(axes, mosaic, cmap=EVEN, vmin=0, vmax=MOST_RATE)
    rows, columns = field
    middles = [block * (rows + 1) + (rows - 1) / 2 for block in range(len(atlas.blocks))]
    axes.set_yticks(middles, [f"block {block}" for block in atlas.blocks])
    for (block, rank), expert in np.ndenumerate(busiest_QK):
        at = rank * (columns + 1) + (columns - 1) / 2, block * (rows + 1) + rows
        axes.text(*at, str(expert), ha="center", va="center", fontsize=8.5, color="#334155")
    axes.set_xticks([])
    axes.set_frame_on(False)
    axes.tick_params(left=False)
    axes.set_title("The fields of the image that the busiest experts of pictures serve")
    look = _scale(figure, more=bool(np.nanmax(mosaic) > MOST_RATE))
    colour_bar(figure, image, axes, "over its mean rate", **look)


def _scale(figure: Figure, *, more: bool) -> dict[str, Any]:
    """Returns keyword arguments of the scale beside the panels; an arrow if values exceed it."""
    return {
        "aspect": 15,
        "shrink": min(1.0, MOST_BAR_INCHES / figure.get_figheight()),
        "anchor": (0, 1),
        "extend": "max" if more else "neither",
    }


def _order(atlas: Atlas, place: int) -> np.ndarray:
    """Returns the experts of a block from text to vision; by number where S is not known."""
    if atlas.specialisation is None:
        return np.arange(atlas.routed_experts)
    return np.argsort(-atlas.specialisation.value_QR[place], kind="stable")
