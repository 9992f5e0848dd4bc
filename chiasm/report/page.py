"""The report of a run: what it draws, answers and imagines, and every number beside its baseline.

The words on a measure are written with the measure (:class:`chiasm.evaluation.measure.Measure`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from chiasm.evaluation.evaluation import Evaluation, Point
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.rows import Row
from chiasm.evaluation.settings import MEASURES
from chiasm.intervals import Verdict
from chiasm.report import doc
from chiasm.report.curves import flow_figure, horizon_figure, loss_figure, step_figure
from chiasm.report.files import ReportFiles, write_page, writing
from chiasm.report.numbers import duration, estimate, number
from chiasm.report.overview import write_overview
from chiasm.report.record import folded, json_text
from chiasm.report.run_folder import RunFolder

INTRO = (
    "One decoder-only transformer, pretrained from scratch. Every number below is measured on "
    "held-out data and stands beside a baseline. Standard errors are clustered by map (by picture "
    "or document where there are no maps), and a difference counts when it exceeds two of them."
)


@dataclass(frozen=True)
class Provenance:
    """The origin of a run: what a reader needs to reproduce it."""

    command: str
    seconds: Mapping[str, float]
    """Stage → its duration."""
    facts: Mapping[str, str]
    """Short facts for the head of the page, for example parameters and tokens."""


def write_report(
    run_folder: Path, evaluation: Evaluation, provenance: Provenance, into: Path | None = None
) -> ReportFiles:
    """Writes report.html, report.json and overview.png, into the run's folder or another one.

    An earlier report of the same settings and numbers is replaced; any other is kept, as
    report-1.html, report-1.json and overview-1.png, or with the next number that is free.

    Raises:
        UserError: when the folder cannot be written.
    """
    report = run_report(evaluation, RunFolder.read(run_folder), provenance)
    folder = into or run_folder
    kept = [folder / name for name in ("report.json", "report.html", "overview.png")]
    table, page, overview = kept
    text = json_text(report.record, indent=2)
    remedy = "The run itself is intact; make room and write the report again"
    with writing("the report", folder, remedy):
        folder.stat()  # a run that is not there is not made
        if table.exists() and not _tell_the_same(table.read_text(), text):
            _keep(folder, kept)
        write_overview(evaluation, overview)
        return write_page(report, page, indent=2)


def _tell_the_same(earlier: str, now: str) -> bool:
    """Returns whether two tables hold equal settings and numbers, however long they took."""
    try:
        before, after = json.loads(earlier), json.loads(now)
        return all(before[name] == after[name] for name in ("settings", "rows"))
    except (ValueError, KeyError, TypeError):
        return False  # of another version, or broken


def _keep(folder: Path, files: Sequence[Path]) -> None:
    """Renames the files of an earlier report to the first free number."""
    number = next(n for n in count(1) if not (folder / f"report-{n}.json").exists())
    for file in files:
        if file.exists():
            file.rename(file.with_stem(f"{file.stem}-{number}"))


def run_report(evaluation: Evaluation, run: RunFolder, provenance: Provenance) -> doc.Report:
    """Returns the whole report."""
    name = run.path.resolve().name
    own = {f"evaluation: {section}": value for section, value in evaluation.seconds.items()}
    stages = {**provenance.seconds, **own}
    times = [(stage, duration(seconds)) for stage, seconds in stages.items()]
    return doc.Report(
        title=f"chiasm report: {name}",
        subject=name,
        intro=[INTRO],
        facts={
            **provenance.facts,
            "time": duration(sum(stages.values())),
            "evaluation seed": str(evaluation.settings.seed),
        },
        sections=[
            headlines(evaluation),
            *(_samples(evaluation, measure) for measure in MEASURES),
            doc.Section(
                "How it learned",
                [doc.Figure(loss_figure(run)), doc.Figure(flow_figure(evaluation.flow_points))],
            ),
            _numbers(evaluation),
            doc.Section("What the baselines are", [doc.Terms(dict(_baselines(evaluation.rows)))]),
            doc.Section(
                "Make it again",
                [
                    doc.Commands(provenance.command),
                    doc.Table(times, ("stage", "time"), unbroken={1}),
                    doc.Commands(run.recipe, "The resolved recipe"),
                    folded("Evaluation settings", evaluation.settings),
                    folded("Versions and machine", run.versions),
                ],
            ),
        ],
        footer="The same table for programs is report.json, in this folder.",
        record={
            "rows": [row_record(row) for row in evaluation.rows],
            "flow_loss_by_noise": [_point(point) for point in evaluation.flow_points],
            "rollout_by_horizon": [_point(point) for point in evaluation.horizon_points],
            "by_solver_steps": [_point(point) for point in evaluation.step_points],
            "skipped": evaluation.skipped,
            "passed_over": evaluation.passed_over,
            "seconds": evaluation.seconds,
            "settings": evaluation.settings,
            "command": provenance.command,
            "versions": run.versions,
        },
    )


def row_record(row: Row) -> dict[str, Any]:
    """Returns one row with its verdict, for programs."""
    return {**vars(row), "verdict": str(row.verdict)}


def _point(point: Point) -> dict[str, Any]:
    where = {name: value for name, value in vars(point).items() if name != "row"}
    return {**where, **row_record(point.row)}


def headlines(evaluation: Evaluation) -> doc.Section:
    """Returns a section of the headline numbers."""
    rows = [row for row in evaluation.rows if row.headline]
    won = sum(row.verdict is Verdict.BEATS for row in rows)
    return doc.Section(
        "In short",
        [doc.Cards([_card(row) for row in rows])],
        lead=f"{won} of {len(rows)} headline comparisons beat their baseline by more than two "
        "standard errors.",
    )


def _card(row: Row) -> doc.Card:
    baseline = number(row.baseline, row.unit) if row.baseline is not None else ""
    unit = "" if row.unit == "share" else row.unit
    _, plus_minus, error = _measured(row).partition("±")
    return doc.Card(
        name=row.name,
        value=number(row.value, row.unit),
        beside=f"{unit} {plus_minus}{error}".strip(),
        versus=f"{row.baseline_name or ''}: {baseline} (difference {_difference(row)})",
        chip=_chip(row),
    )


def _measured(row: Row) -> str:
    note = " (one cluster: no standard error)" * math.isnan(row.standard_error)
    return f"{estimate(row.value, row.standard_error, unit=row.unit)}{note}"


def _difference(row: Row) -> doc.Words:
    """Returns the paired difference with its standard error; empty without a baseline."""
    if row.difference is None or row.difference_se is None:
        return ""
    return estimate(row.difference, row.difference_se, unit=row.unit, signed=True)


def _chip(row: Row) -> doc.Mark:
    return doc.Mark(verdict_phrase(row), "chip", str(row.verdict))


def verdict_phrase(row: Row) -> str:
    """Returns the comparison as a phrase."""
    if row.verdict is Verdict.SHOWN or row.difference is None or row.difference_se is None:
        return "shown, no baseline"
    if math.isnan(row.difference_se):
        return f"not separated from {row.baseline_name}: one cluster gives no standard error"
    if row.verdict is Verdict.NOT_SEPARATED:
        return f"not separated from {row.baseline_name}: within two standard errors"
    verb = "beats" if row.verdict is Verdict.BEATS else "worse than"
    if not row.difference_se:
        return f"{verb} {row.baseline_name}"
    errors = abs(row.difference) / row.difference_se
    return f"{verb} {row.baseline_name} by {errors:.1f} standard errors"


def not_measured(evaluation: Evaluation) -> doc.Section:
    """Returns a section of what could not be measured, with reasons."""
    return doc.Section("Not measured", [doc.Terms(evaluation.skipped)])


def _samples(evaluation: Evaluation, measure: Measure[Any]) -> doc.Section:
    chosen = [sample for sample in evaluation.samples if sample.section == measure.section]
    points = [each for each in evaluation.horizon_points if each.row.section == measure.section]
    of_steps = [each for each in evaluation.step_points if each.row.section == measure.section]
    return doc.Section(
        measure.heading or measure.section,
        [
            doc.Figure(horizon_figure(points)),
            doc.Figure(step_figure(of_steps)),
            doc.Samples(chosen),
        ],
        lead=f"{measure.lead} Chosen by their places in the held-out split, not by hand.".strip(),
    )


def _numbers(evaluation: Evaluation) -> doc.Section:
    columns = ("measure", "value", "unit", "baseline", "difference", "verdict", "items / clusters")
    rows: list[doc.Row] = []
    for section in dict.fromkeys(row.section for row in evaluation.rows):
        rows.append([doc.Cell(section, columns=len(columns), is_heading=True)])
        rows += [_table_row(row) for row in evaluation.rows if row.section == section]
    passed_over = {name: str(found) for name, found in evaluation.passed_over.items()}
    return doc.Section(
        "Every number",
        [
            doc.Table(rows, columns, unbroken={1, 4, 6}),
            not_measured(evaluation),
            doc.Section("Held-out data that cannot be used", [doc.Terms(passed_over)]),
        ],
        lead="± is one standard error, and an arrow points to better. Differences are paired: "
        "value minus baseline, item by item.",
    )


def _table_row(row: Row) -> doc.Row:
    baseline: doc.Words = ""
    if row.baseline is not None:
        name = doc.Mark(str(row.baseline_name), "small")
        baseline = (f"{number(row.baseline, row.unit)}\n", name)
    return (
        row.name,
        _measured(row),
        f"{row.unit} {'↑' if row.better == 'higher' else '↓'}",
        baseline,
        _difference(row),
        _chip(row),
        f"{row.num_items} / {row.num_clusters}",
    )


def _baselines(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yields the descriptions of the baselines of sections that have rows."""
    present = {row.section for row in rows}
    for measure in MEASURES:
        for section, words in {measure.section: measure.baselines, **measure.others}.items():
            if words and section in present:
                yield section, words
