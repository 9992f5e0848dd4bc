"""Where and for whom experts work, as heat maps: by source and by place in the image.

Shape suffixes: G groups, Q blocks with a router, R routed experts.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chiasm.evaluation.atlas.atlas import Atlas
from chiasm.report.curves import svg

WIDTH_INCHES = 10.4
BUSIEST = 12
"""Experts of each block whose places are shown."""

EVEN = mpl.colors.LinearSegmentedColormap.from_list("load", ("#f8fafc", "#0b6e8f", "#082f49"))
MOST_LOAD = 5.0
"""Where the colours of loads end, in multiples of an even load."""

MOST_RATE = 4.0
"""Where the colours of places end, in multiples of the expert's mean."""


def source_map(atlas: Atlas) -> str:
    """One panel per block: what share of each source's assignments every expert gets."""
    rows, labels = [], []
    for name, told in (("text by source", "text"), ("vision by source", "pictures")):
        if name in atlas.spreads:
            rows.append(atlas.spreads[name].rate_GQR)
            labels += [f"{source}, {told}" for source in atlas.spreads[name].groups]
    rate_GQR = np.concatenate(rows)
    num_blocks, num_experts = rate_GQR.shape[1:]
    height = 1.0 + (0.55 + 0.19 * len(labels)) * -(-num_blocks // 2)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(-(-num_blocks // 2), 2, sharey=True, squeeze=False).ravel()
    for axes in panels[num_blocks:]:
        axes.set_axis_off()
    for place, axes in enumerate(panels[:num_blocks]):
        image = axes.imshow(
            rate_GQR[:, place][:, _order(atlas, place, num_experts)] * num_experts,
            cmap=EVEN,
            vmin=0,
            vmax=MOST_LOAD,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_title(f"block {atlas.blocks[place]}", fontsize=9.5)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_xticks([])
        axes.grid(visible=False)
    bar = figure.colorbar(
        image, ax=panels.tolist(), location="bottom", shrink=0.4, aspect=50, pad=0.02
    )
    bar.set_label("load, 1 is even")
    bar.outline.set_visible(False)
    return svg(figure, "sources")


def place_map(atlas: Atlas) -> str:
    """The fields of the image that the busiest experts of each block look after."""
    spread = atlas.spreads["vision by place"]
    num_rows, num_columns = (
        1 + max(int(group.split(",")[side]) for group in spread.groups) for side in range(2)
    )
    num_blocks = len(atlas.blocks)
    mean_QR = spread.rate_GQR.mean(axis=0)
    busiest_QX = np.argsort(-mean_QR, axis=1, kind="stable")[:, :BUSIEST]
    shape = (num_blocks * (num_rows + 1), busiest_QX.shape[1] * (num_columns + 1))
    mosaic = np.full(shape, np.nan)
    for (block, rank), expert in np.ndenumerate(busiest_QX):
        if mean_QR[block, expert]:
            relative = spread.rate_GQR[:, block, expert] / mean_QR[block, expert]
            top, left = block * (num_rows + 1), rank * (num_columns + 1)
            mosaic[top : top + num_rows, left : left + num_columns] = relative.reshape(
                num_rows, num_columns
            )
    figure = Figure(
        figsize=(WIDTH_INCHES, 0.7 + WIDTH_INCHES * 0.9 * shape[0] / shape[1]), layout="constrained"
    )
    _draw_mosaic(figure.subplots(), mosaic, atlas, busiest_QX, (num_rows, num_columns))
    return svg(figure, "places")


def _draw_mosaic(
    axes: Axes, mosaic: np.ndarray, atlas: Atlas, busiest_QX: np.ndarray, field: tuple[int, int]
) -> None:
    axes.imshow(
        np.ma.masked_invalid(mosaic), cmap=EVEN, vmin=0, vmax=MOST_RATE, interpolation="nearest"
    )
    rows, columns = field
    middles = [block * (rows + 1) + (rows - 1) / 2 for block in range(len(atlas.blocks))]
    axes.set_yticks(middles, [f"block {block}" for block in atlas.blocks])
    for (block, rank), expert in np.ndenumerate(busiest_QX):
        at = rank * (columns + 1) + (columns - 1) / 2, block * (rows + 1) + rows - 0.45
        axes.text(*at, str(expert), ha="center", va="top", fontsize=6.5, color="#64748b")
    axes.set_xticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(left=False)
    axes.set_title("The fields of the image that the busiest experts of pictures serve")


def _order(atlas: Atlas, place: int, num_experts: int) -> np.ndarray:
    """Experts of a block from text to vision; as they are numbered where S is not known."""
    if atlas.specialisation is None:
        return np.arange(num_experts)
    return np.argsort(-atlas.specialisation.value_QR[place], kind="stable")
