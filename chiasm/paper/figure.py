"""Published and measured values on common scales, as one inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from chiasm.intervals import Interval
from chiasm.paper.agreement import Agreement
from chiasm.paper.judge import Counterpart, JudgedFinding, JudgedNumber
from chiasm.report.charts import GREY, figure_of, lengths, styled, svg

COLOURS = {
    Agreement.AGREES: "#15803d",
    Agreement.DISAGREES: "#b42318",
    Agreement.UNDECIDED: "#d99a1c",
    Agreement.NOT_MEASURED: GREY,
}
PUBLISHED = "#0f172a"

WIDTH_INCHES = 10.5
ROW_INCHES = 0.27
AROUND_INCHES = 0.9
"""Height of a panel's title and axis, in inches."""


@dataclass(frozen=True)
class Mark:
    """One measured interval."""

    interval: Interval
    agreement: Agreement
    is_refit: bool


@dataclass(frozen=True)
class Line:
    """A published value and its measurements."""

    title: str
    published: float
    marks: tuple[Mark, ...]


@styled
def agreement_figure(judged: Sequence[JudgedFinding]) -> str:
    """Returns the SVG, with a panel of differences in per cent and one of exponents.

    Panels without content are left out; the text is empty if both are.
    """
    shares = ("Differences between two conditions", "% of the second condition's value")
    panels = [(*shares, _shares(judged)), ("Exponents and their gaps", "", _exponents(judged))]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return ""
    counts = [len(lines) for _, _, lines in panels]
    height = sum(AROUND_INCHES + ROW_INCHES * count for count in counts)
    figure = figure_of(height, WIDTH_INCHES)
    column = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts)[:, 0]
    for axes, (title, unit, lines) in zip(column, panels, strict=True):
        _draw(axes, lines)
        axes.set(title=title, xlabel=unit)
    return svg(figure, "paper")


def _draw(axes: Axes, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        axes.plot([line.published] * 2, [place - 0.38, place + 0.38], color=PUBLISHED, linewidth=2)
        for offset, mark in zip(_offsets(len(line.marks)), line.marks, strict=True):
            found = mark.interval
            axes.errorbar(
                [found.value],
                [place + offset],
                xerr=lengths([found.value], [found.low], [found.high]),
                color=COLOURS[mark.agreement],
                marker="s" if mark.is_refit else "o",
                fillstyle="none" if mark.is_refit else "full",
                markersize=5,
                capsize=2,
            )
    axes.axvline(0.0, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(lines)), [line.title for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)


def _offsets(count: int) -> list[float]:
    return [0.6 * ((place + 0.5) / count - 0.5) for place in range(count)]


def _shares(judged: Sequence[JudgedFinding]) -> list[Line]:
    return [
        line
        for finding in judged
        for number in finding.numbers
        for measurement in number.measurements
        if (line := _share(number, measurement)) is not None
    ]


def _share(number: JudgedNumber, measurement: Counterpart) -> Line | None:
    value, against, study = number.published.value, number.published.against, number.published.study
    if measurement.means is None or study is None or value is None or not against:
        return None
    (found,) = measurement.intervals.values()
    per_cent = 100 / measurement.means[1]
    interval = Interval(*(per_cent * each for each in (found.value, found.low, found.high)))
    title = f"{study.metric.partition(':')[0]}: {study.cell} − {study.against}"
    return Line(
        title, 100 * (value - against) / against, (Mark(interval, measurement.agreement, False),)
    )


def _exponents(judged: Sequence[JudgedFinding]) -> list[Line]:
    lines = []
    for finding in judged:
        for number in (each for each in finding.numbers if not each.published.follows):
            marks = tuple(
                Mark(interval, each.agreement, each.is_refit)
                for each in number.measurements
                if each.quantity in ("size_exponent", "token_exponent", "gap")
                for interval in each.intervals.values()
            )
            if marks and number.published.value is not None:
                title = f"{finding.finding.id}, {number.published.name}"
                lines.append(Line(title, number.published.value, marks))
    return lines
