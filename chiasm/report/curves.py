"""Figures of the page as inline SVG: losses, flow loss by noise level, rollouts by horizon."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chiasm.evaluation.evaluation import FlowPoint, HorizonPoint
from chiasm.report.run_folder import Curve, RunFolder

PALETTE = ("#0b6e8f", "#d1603d", "#5b8c3a", "#7b5ea7", "#b8860b", "#64748b")
"""Colours that stay apart for colour-blind readers."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
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
"""matplotlib settings of every figure."""

SMOOTHING_SHARE = 0.02
"""Width of the running mean of training losses, as a share of the run."""


def loss_figure(run: RunFolder) -> str:
    """Text and flow loss over training, with validation points; empty without metrics."""
    panels = [
        (title, unit, named)
        for title, unit, key in (
            ("Text loss", "nats per token", "text_loss"),
            *((_titled(key), "per latent token", key) for key in flow_losses(run.curves)),
        )
        if (named := {phase: run.curves.get(f"{phase}/{key}") for phase in ("train", "validation")})
        and any(named.values())
    ]
    if not panels:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 3.3), layout="constrained")
        for axes, (title, unit, named) in zip(
            np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True
        ):
            _draw_losses(axes, named)
            axes.set(title=title, xlabel="step", ylabel=unit)
        return svg(figure, "loss")


def flow_losses(curves: Iterable[str]) -> list[str]:
    """Returns what the flow losses of a run's streams are called, pictures' first."""
    named = {name.removeprefix("train/") for name in curves if name.startswith("train/")}
    return sorted((name for name in named if name.endswith("flow_loss")), key=lambda n: (len(n), n))


def _titled(flow_loss: str) -> str:
    stream = flow_loss.removesuffix("flow_loss").removesuffix("/")
    return f"Flow loss, {stream}" if stream else "Flow loss"


def flow_figure(points: Sequence[FlowPoint]) -> str:
    """Flow loss of every source over flow time, with two standard errors and the baseline."""
    if not points:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 3.5), layout="constrained")
        axes = figure.subplots()
        for colour, source in zip(PALETTE, dict.fromkeys(p.source for p in points), strict=False):
            own = [point for point in points if point.source == source]
            axes.errorbar(
                [point.flow_time for point in own],
                [point.row.value for point in own],
                yerr=[2 * np.nan_to_num(point.row.standard_error) for point in own],
                color=colour,
                marker="o",
                markersize=4,
                capsize=3,
                label=source,
            )
        time = np.linspace(min(p.flow_time for p in points), max(p.flow_time for p in points), 100)
        linear = 1 / (time**2 + (1 - time) ** 2)
        axes.plot(time, linear, color="#94a3b8", linestyle="--", label="best linear guess")
        axes.set(
            title="Flow loss on held-out data, by noise level",
            xlabel="flow time t  (0 noise, 1 data)",
            ylabel="velocity loss",
            ylim=(0, None),
        )
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        return svg(figure, "flow")


def horizon_figure(points: Sequence[HorizonPoint]) -> str:
    """Likeness of imagined views over how far ahead they lie, with the baselines; a row of panels
    for each source."""
    if not points:
        return ""
    sources = list(dict.fromkeys(point.source for point in points))
    measures = list(dict.fromkeys(point.measure for point in points))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 3.1 * len(sources) + 0.4), layout="constrained")
        grid = figure.subplots(len(sources), len(measures), squeeze=False)
        for source, across in zip(sources, grid, strict=True):
            for measure, axes in zip(measures, across, strict=True):
                own = [p for p in points if (p.source, p.measure) == (source, measure)]
                _draw_horizons(axes, own)
                axes.set_title(f"{measure}, {source}" if source else measure)
        names, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(names, labels, loc="outside lower center", ncols=len(labels))
        return svg(figure, "horizon")


def _draw_horizons(axes: Axes, points: Sequence[HorizonPoint]) -> None:
    """The imagined views with two standard errors, and a line for each baseline."""
    contenders = list(dict.fromkeys(point.row.baseline_name for point in points))
    lines = {name: [p for p in points if p.row.baseline_name == name] for name in contenders}
    imagined = lines[contenders[0]]
    axes.errorbar(
        [point.frames_ahead for point in imagined],
        [point.row.value for point in imagined],
        yerr=[2 * np.nan_to_num(point.row.standard_error) for point in imagined],
        color=PALETTE[0],
        marker="o",
        markersize=4,
        capsize=3,
        label="imagined",
    )
    for colour, (name, own) in zip(PALETTE[1:], lines.items(), strict=False):
        baseline = np.array([point.row.baseline for point in own], float)
        ahead = [point.frames_ahead for point in own]
        axes.plot(ahead, baseline, color=colour, marker="s", markersize=3, label=name)
    horizons = sorted({point.frames_ahead for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(horizons, [str(ahead) for ahead in horizons])
    axes.minorticks_off()
    row = points[0].row
    axes.set(xlabel="frames ahead", ylabel=f"{row.unit} ({row.better} is better)")


def _draw_losses(axes: Axes, named: dict[str, Curve | None]) -> None:
    train, validation = named["train"], named["validation"]
    if train is not None:
        axes.plot(train.steps, train.values, color=PALETTE[0], alpha=0.25, linewidth=0.8)
        smooth = _running_mean(np.array(train.values))
        axes.plot(train.steps, smooth, color=PALETTE[0], linewidth=1.8, label="training")
        axes.set_ylim(0, 1.1 * float(np.quantile(smooth, 0.98)))
    if validation is not None:
        axes.plot(
            validation.steps,
            validation.values,
            color=PALETTE[1],
            marker="o",
            markersize=4,
            label="held-out",
        )
    axes.legend()


def _running_mean(values: np.ndarray) -> np.ndarray:
    width = max(1, round(SMOOTHING_SHARE * len(values)))
    padded = np.concatenate((np.full(width - 1, values[0]), values))
    return np.convolve(padded, np.full(width, 1 / width), "valid")


def svg(figure: Figure, salt: str) -> str:
    """The figure's <svg> element; its identifiers are salted so that two figures share none."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()[file.getvalue().index("<svg") :]
