"""Figures of a fit: IsoFLOP curves with their minima, and optima against compute with bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from chiasm.intervals import LEVEL
from chiasm.report.charts import PALETTE, figure_of, styled
from chiasm.scaling.fit import Fit
from chiasm.scaling.frontier import TITLES, Frontier
from chiasm.scaling.parabola import Parabola

DASHES = {"parabola": "-", "huber": ":", "projection": "--", "optima": "-"}

BEYOND = 3.0
"""Factor by which lines extend beyond the budgets."""

UNITS = {"text": "nats per token", "vision": "flow loss per latent token"}


@styled
def write_figures(fit: Fit, folder: Path) -> list[Path]:
    """Writes isoflop and optima, each as SVG and PNG; isoflop only where there are curves."""
    figures = {"optima": optima_figure(fit)}
    if any(own.parabolas for own in fit.modalities.values()):
        figures["isoflop"] = isoflop_figure(fit)
    written = []
    for name, figure in figures.items():
        for kind in ("svg", "png"):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=160, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


@styled
def isoflop_figure(fit: Fit) -> Figure:
    """Returns loss over N, a panel for each modality.

    Each budget's curve is drawn where it was fitted; runs outside of that are pale.
    """
    figure = figure_of(4.2, 5.2 * len(fit.modalities) + 0.8)
    panels = np.atleast_1d(figure.subplots(1, len(fit.modalities)))
    for axes, (name, own) in zip(panels, fit.modalities.items(), strict=True):
        colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(own.parabolas)))
        for parabola, colour in zip(own.parabolas, colours, strict=True):
            _draw_curve(axes, parabola, colour)
        _logarithmic(axes)
        axes.set_title(f"{name.capitalize()}: loss at equal FLOPs")
        axes.set_xlabel(f"N = {fit.size.label}")
        axes.set_ylabel(f"held-out loss ({UNITS.get(name, 'as given')})")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="FLOPs", loc="outside right center")
    return figure


@styled
def optima_figure(fit: Fit) -> Figure:
    """Returns optimal parameters and tokens over compute, with lines and bands by modality."""
    figure = figure_of(4.4)
    left, right = figure.subplots(1, 2)
    for colour, (name, own) in zip(PALETTE, fit.modalities.items(), strict=False):
        budgets = np.geomspace(fit.compute[0] / BEYOND, fit.compute[1] * BEYOND, 40)
        for method, estimate in own.estimates.items():
            band = method == next(iter(own.estimates))
            label = f"{name}, {TITLES[method]}"
            for axes, which in ((left, 0), (right, 1)):
                exponent = (estimate.size_exponent, estimate.token_exponent)[which]
                told = f"{label}: {exponent.value:.3f} ± {exponent.standard_error:.3f}"
                _draw_line(axes, estimate, which, budgets, colour, told, band=band)
        kept = [parabola for parabola in own.parabolas if not parabola.refusal]
        _draw_points(left, [(p.budget_flops, p.minimum) for p in kept], colour)
        _draw_points(left, [(budget, size) for budget, size, _ in own.optima], colour)
        _draw_points(right, [(budget, tokens) for budget, _, tokens in own.optima], colour)
    for axes, what, letter in ((left, "N", "a"), (right, "D", "b")):
        axes.set_yscale("log")
        _logarithmic(axes)
        axes.set_title(f"Optimal {what} ∝ C^{letter}")
        axes.set_xlabel(f"compute C in FLOPs (bands: {LEVEL:.0%} of resamples)")
        axes.set_ylabel(f"optimal {fit.size.label if what == 'N' else 'tokens'}")
        axes.legend(fontsize=7, loc="upper left")  # "best" searches for seconds
    return figure


def _draw_curve(axes: Axes, parabola: Parabola, colour: Sequence[float]) -> None:
    low, high = parabola.window
    x, y = np.array([parabola.sizes, parabola.losses])
    near = (x >= low) & (x <= high)
    label = f"{parabola.budget_flops:.2g}".replace("e+", "e")
    axes.scatter(x[near], y[near], s=18, color=[colour], alpha=0.75, linewidths=0, label=label)
    axes.scatter(x[~near], y[~near], s=18, color=[colour], alpha=0.2, linewidths=0)
    sizes = np.geomspace(low, high, 80)
    u = np.log(sizes / parabola.centre)
    constant, slope, curvature = parabola.coefficients
    style = ":" if parabola.refusal else "-"
    axes.plot(sizes, constant + slope * u + curvature * u**2, style, color=colour, linewidth=1.3)
    if not parabola.refusal:
        axes.plot(
            [parabola.minimum],
            [parabola.lowest_loss],
            marker="*",
            markersize=13,
            color=colour,
            markeredgecolor="white",
            markeredgewidth=0.8,
        )


def _draw_line(
    axes: Axes,
    estimate: Frontier,
    which: int,
    budgets: np.ndarray,
    colour: str,
    label: str,
    *,
    band: bool,
) -> None:
    values = np.array([estimate.log_optimum(budget)[which] for budget in budgets])
    style = DASHES.get(estimate.method, "-")
    axes.plot(budgets, np.exp(values[:, 0]), style, color=colour, linewidth=1.5, label=label)
    if band and values.shape[1] > 1:
        low, high = np.nanquantile(values[:, 1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        axes.fill_between(budgets, np.exp(low), np.exp(high), color=colour, alpha=0.14, linewidth=0)


def _draw_points(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> None:
    budgets, values = [budget for budget, _ in points], [value for _, value in points]
    axes.scatter(budgets, values, s=26, color=colour, zorder=3, edgecolors="white", linewidths=0.7)


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
