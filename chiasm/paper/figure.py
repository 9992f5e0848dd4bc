"""Published and measured side by side, on common scales, as one inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chiasm.paper.agreement import Agreement, Interval
from chiasm.paper.judge import JudgedFinding, JudgedNumber, Measurement
from chiasm.report.curves import STYLE, svg

COLOURS = {
    Agreement.AGREES: "#15803d",
    Agreement.DISAGREES: "#b42318",
    Agreement.UNDECIDED: "#d99a1c",
    Agreement.NOT_MEASURED: "#94a3b8",
}
PUBLISHED = "#0f172a"

WIDTH_INCHES = 10.5
ROW_INCHES = 0.27
AROUND_INCHES = 0.9
"""Height of a panel's title and axis."""

Line = tuple[str, float, Interval, Agreement]
"""Title, published value, measured interval, verdict."""


def agreement_figure(judged: Sequence[JudgedFinding]) -> str:
    """Differences in per cent in one panel, exponents in the other; empty where none is there."""
    panels = [
        (title, unit, lines)
        for title, unit, lines in (
            ("Differences between two conditions", "% of the second condition", _shares(judged)),
            ("Exponents and their gaps", "", _exponents(judged)),
        )
        if lines
    ]
    if not panels:
        return ""
    counts = [len(lines) for _, _, lines in panels]
    height = sum(AROUND_INCHES + ROW_INCHES * count for count in counts)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        column = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts)[:, 0]
        for axes, (title, unit, lines) in zip(column, panels, strict=True):
            _draw(axes, lines)
            axes.set(title=title, xlabel=unit)
        return svg(figure, "paper")


def _draw(axes: Axes, lines: Sequence[Line]) -> None:
    for place, (_, published, measured, agreement) in enumerate(lines):
        limits = np.nan_to_num([[measured.value - measured.low], [measured.high - measured.value]])
        axes.errorbar(
            [measured.value],
            [place],
            xerr=np.maximum(limits, 0.0),
            color=COLOURS[agreement],
            marker="o",
            capsize=3,
        )
        axes.plot([published], [place], "D", color=PUBLISHED, fillstyle="none", markersize=6)
    axes.axvline(0.0, color="#94a3b8", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(lines)), [title for title, *_ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)


def _shares(judged: Sequence[JudgedFinding]) -> list[Line]:
    return [
        line
        for finding in judged
        for number in finding.numbers
        for measurement in number.measurements
        if (line := _share(finding, number, measurement)) is not None
    ]


def _share(finding: JudgedFinding, number: JudgedNumber, measurement: Measurement) -> Line | None:
    value, against = number.published.value, number.published.against
    if measurement.means is None or value is None or not against or not measurement.means[1]:
        return None
    (found,) = measurement.intervals.values()
    per_cent = 100 / measurement.means[1]
    interval = Interval(*(per_cent * each for each in (found.value, found.low, found.high)))
    cell = number.published.study.cell if number.published.study is not None else ""
    title = f"{finding.finding.id}: {cell}"
    return title, 100 * (value - against) / against, interval, measurement.agreement


def _exponents(judged: Sequence[JudgedFinding]) -> list[Line]:
    lines = []
    for finding in judged:
        for number in finding.numbers:
            for measurement in number.measurements:
                if measurement.quantity not in ("size_exponent", "token_exponent", "gap"):
                    continue
                assert number.published.value is not None  # a law has one
                for method, interval in measurement.intervals.items():
                    what = "its own optima" if measurement.is_refit else method
                    title = f"{finding.finding.id}: {number.published.name} ({what})"
                    lines.append((title, number.published.value, interval, measurement.agreement))
    return lines
