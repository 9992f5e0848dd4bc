"""Figures of a run's page: losses, flow loss by noise level, rollouts by horizon, quality by the
number of solver steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from chiasm.evaluation.evaluation import FlowPoint, HorizonPoint, StepPoint
from chiasm.evaluation.rows import Row
from chiasm.report.charts import GREY, PALETTE, figure_of, styled, svg, whiskers
from chiasm.report.run_folder import Curve, RunFolder

PANELS_ACROSS = 3
"""Of a figure with a panel for each measure."""

SMOOTHING_SHARE = 0.02
"""Width of the running mean of training losses, as a share of the run."""


@styled
def loss_figure(run: RunFolder) -> str:
    """Returns text and flow loss over training, with validation points; empty without metrics."""
    kinds = [("Text loss", "nats per token", "text_loss")]
    kinds += [(_titled(key), "per latent token", key) for key in flow_losses(run.curves)]
    panels = [
        (title, unit, named)
        for title, unit, key in kinds
        if (named := {phase: run.curves.get(f"{phase}/{key}") for phase in ("train", "validation")})
        and any(named.values())
    ]
    if not panels:
        return ""
    figure = figure_of(3.3)
    places = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, (title, unit, named) in zip(places, panels, strict=True):
        _draw_losses(axes, **named)
        axes.set(title=title, xlabel="step", ylabel=unit)
    return svg(figure, "loss")


def flow_losses(curves: Iterable[str]) -> list[str]:
    """Returns the names of the flow losses of a run's streams, the image stream's first."""
    named = {name.removeprefix("train/") for name in curves if name.startswith("train/")}
    return sorted((name for name in named if name.endswith("flow_loss")), key=lambda n: (len(n), n))


def _titled(flow_loss: str) -> str:
    stream = flow_loss.removesuffix("flow_loss").removesuffix("/")
    return f"Flow loss, {stream}" if stream else "Flow loss"


@styled
def flow_figure(points: Sequence[FlowPoint]) -> str:
    """Returns flow loss of every source over flow time, with two standard errors; baseline."""
    if not points:
        return ""
    figure = figure_of(3.5)
    axes = figure.subplots()
    for colour, source in zip(PALETTE, dict.fromkeys(p.source for p in points), strict=False):
        own = [point for point in points if point.source == source]
        _draw_rows(axes, [p.flow_time for p in own], [p.row for p in own], colour, source)
    time = np.linspace(min(p.flow_time for p in points), max(p.flow_time for p in points), 100)
    linear = 1 / (time**2 + (1 - time) ** 2)
    axes.plot(time, linear, color=GREY, linestyle="--", label="best linear guess")
    axes.set(
        title="Flow loss on held-out data, by noise level",
        xlabel="flow time t  (0 noise, 1 data)",
        ylabel="velocity loss",
        ylim=(0, None),
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return svg(figure, "flow")


@styled
def horizon_figure(points: Sequence[HorizonPoint]) -> str:
    """Returns likeness of imagined views by frames ahead, with the baselines; empty without points.

    Each source has a row of panels.
    """
    if not points:
        return ""
    sources = list(dict.fromkeys(point.source for point in points))
    measures = list(dict.fromkeys(point.measure for point in points))
    figure = figure_of(3.1 * len(sources) + 0.4)
    grid = figure.subplots(len(sources), len(measures), squeeze=False)
    for source, across in zip(sources, grid, strict=True):
        for measure, axes in zip(measures, across, strict=True):
            own = [p for p in points if (p.source, p.measure) == (source, measure)]
            _draw_horizons(axes, own)
            axes.set_title(f"{measure}, {source}" if source else measure)
    names, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(names, labels, loc="outside lower center", ncols=len(labels))
    return svg(figure, "horizon")


@styled
def step_figure(points: Sequence[StepPoint]) -> str:
    """Returns each measure by the number of solver steps; empty without points."""
    measures = list(dict.fromkeys(point.measure for point in points))
    if not measures:
        return ""
    rows = -(-len(measures) // PANELS_ACROSS)
    figure = figure_of(3.1 * rows)
    places = figure.subplots(rows, PANELS_ACROSS, squeeze=False).flat
    for axes, measure in zip(places, measures, strict=False):
        own = [point for point in points if point.measure == measure]
        _draw_rows(axes, [p.steps for p in own], [p.row for p in own], PALETTE[0], measure)
        axes.set_title(measure)
        _label_doubling(axes, "solver steps", [p.steps for p in own], own[0].row)
    for axes in places:
        axes.set_axis_off()
    return svg(figure, "steps")


def _draw_horizons(axes: Axes, points: Sequence[HorizonPoint]) -> None:
    """Draws the imagined views with two standard errors, and a line for each baseline."""
    contenders = list(dict.fromkeys(point.row.baseline_name for point in points))
    lines = {name: [p for p in points if p.row.baseline_name == name] for name in contenders}
    imagined = lines[contenders[0]]
    ahead = [point.frames_ahead for point in imagined]
    _draw_rows(axes, ahead, [point.row for point in imagined], PALETTE[0], "imagined")
    for colour, (name, own) in zip(PALETTE[1:], lines.items(), strict=False):
        baseline = np.array([point.row.baseline for point in own], float)
        ahead = [point.frames_ahead for point in own]
        axes.plot(ahead, baseline, color=colour, marker="s", markersize=3, label=name)
    _label_doubling(axes, points[0].axis, [point.frames_ahead for point in points], points[0].row)


def _label_doubling(axes: Axes, name: str, numbers: Sequence[int], row: Row) -> None:
    """Sets ticks at numbers, as far apart as their logarithms, and labels for a row's values."""
    ticks = sorted(set(numbers))
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(number) for number in ticks])
    axes.minorticks_off()
    axes.set(xlabel=name, ylabel=f"{row.unit} ({row.better} is better)")


def _draw_rows(
    axes: Axes, x: Sequence[float], rows: Sequence[Row], colour: str, label: str
) -> None:
    """Draws values with two standard errors."""
    error = 2 * np.array([row.standard_error for row in rows])
    whiskers(axes, x, [row.value for row in rows], error, color=colour, label=label)


def _draw_losses(axes: Axes, train: Curve | None, validation: Curve | None) -> None:
    if train is not None:
        axes.plot(train.steps, train.values, color=PALETTE[0], alpha=0.25, linewidth=0.8)
        smooth = _running_mean(np.array(train.values))
        axes.plot(train.steps, smooth, color=PALETTE[0], linewidth=1.8, label="training")
        axes.set_ylim(0, 1.1 * float(np.quantile(smooth, 0.98)))
    if validation is not None:
        look: dict[str, Any] = {"color": PALETTE[1], "marker": "o", "markersize": 4}
        axes.plot(validation.steps, validation.values, label="held-out", **look)
    axes.legend()


def _running_mean(values: np.ndarray) -> np.ndarray:
    width = max(1, round(SMOOTHING_SHARE * len(values)))
    padded = np.concatenate((np.full(width - 1, values[0]), values))
    return np.convolve(padded, np.full(width, 1 / width), "valid")
