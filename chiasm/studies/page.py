"""A study's report: results and commands to reproduce them; and its short text for docs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chiasm.intervals import SeedMean, Verdict
from chiasm.report import doc
from chiasm.report.files import ReportFiles, write_page, writing
from chiasm.report.markdown import markdown
from chiasm.report.numbers import duration, estimate
from chiasm.report.record import folded
from chiasm.studies.cells import baseline_of
from chiasm.studies.collect import Record, State, version_differences
from chiasm.studies.figure import comparison_figure
from chiasm.studies.plan import quantity
from chiasm.studies.settings import ShiftSettings, StudySettings
from chiasm.studies.shift import EMBEDDING, Distance, study_distances
from chiasm.studies.table import Entry, compare
from chiasm.whole import write_whole

FIGURE = "study.svg"
"""File name of the figure, in the same folder."""

READING = (
    "Each number is the mean over seeds ± its standard error, with Student's 95 % interval in "
    "brackets. Differences are paired: a cell minus the baseline with the same seed, averaged; a "
    "difference counts when its 95 % interval leaves out zero. Intervals are over seeds alone and "
    "not corrected for the number of comparisons. All cells are measured on the same held-out "
    "documents and read through the same tokenizers. Published values come from other data, models "
    "and sizes: compare the signs of the differences, not the numbers."
)

SHORT_READING = (
    "Means over seeds with Student's 95 % interval; differences to the baseline are paired by seed "
    "and count when their interval leaves out zero. Published values come from other data, models "
    "and sizes: compare signs."
)

FIGURE_READING = (
    "Dots are seeds; diamonds and bars are means and their 95 % intervals; the dashed line is the "
    "baseline."
)

ONE_SEED = "one seed: no interval"


def write_study_report(
    study: StudySettings,
    records: Sequence[Record],
    folder: Path,
    command: str,
    cache_folder: Path | None = None,
) -> ReportFiles:
    """Writes report.html, report.json, report.md and its figure into the study's folder.

    Args:
        study: what was compared.
        records: of :func:`chiasm.studies.collect.collect`.
        folder: the study's folder.
        command: that runs the study.
        cache_folder: where rendered worlds are kept, for distances of texts.

    Raises:
        UserError: the folder cannot be written.
    """
    entries, baseline = compare(study, records), baseline_of(study, [r.cell for r in records])
    figure = comparison_figure(entries, baseline)
    shift = study_distances(study, records, cache_folder)
    report = _report(study, records, entries, shift, figure, command)
    summary = _summary(study, records, entries, shift, command)
    with writing("the study's report", folder):
        if figure:
            write_whole(folder / FIGURE, figure)
        write_whole(folder / "report.md", markdown(summary))
        return write_page(report, folder / "report.html")


def _report(
    study: StudySettings,
    records: Sequence[Record],
    entries: Sequence[Entry],
    shift: Sequence[Distance],
    figure: str,
    command: str,
) -> doc.Report:
    differ = version_differences(records)
    baseline = baseline_of(study, [record.cell for record in records])
    equal = quantity(study)[0] if study.equal else None
    first_words = FIGURE_READING if figure else "No cell is finished yet."
    return doc.Report(
        title=f"chiasm study: {study.name}",
        subject=f"study {study.name}",
        intro=[study.question],
        facts={
            "cells and seeds finished": f"{_num_finished(records)} of {len(records)}",
            "seeds": ", ".join(map(str, study.seeds)),
            "equal between cells": equal.replace("_", " ") if equal else "nothing",
            "baseline": baseline,
            "time of all cells": _time(records),
        },
        sections=[
            doc.Section(
                "Results that were not made alike",
                [doc.Terms({name: "; ".join(values) for name, values in differ.items()})],
                "The finished cells differ in what they were made with; whether that matters is "
                "for the reader to judge.",
            ),
            doc.Section("In one figure", [doc.Prose(first_words), doc.Figure(figure)]),
            doc.Section("Every number", [_table(entries, records)], READING),
            *_shift(study, shift),
            doc.Section(
                "Every cell",
                [_cells(records)],
                "Counted before the run, and used by it. Cells of one hash are one run.",
            ),
            doc.Section("Make it again", _reproduction(study, records, command)),
        ],
        footer="The same for programs is report.json, in this folder; every cell's metrics and "
        "counts are in cells.json.",
        record={
            "study": study.name,
            "question": study.question,
            "baseline": baseline,
            "equal": equal,
            "entries": [{**vars(entry), "verdict": str(entry.verdict)} for entry in entries],
            "shift": {"embedding": EMBEDDING, "distances": shift},
            "states": {record.cell.title: str(record.state) for record in records},
            "versions_differ": differ,
            "command": command,
        },
    )


def _num_finished(records: Sequence[Record]) -> int:
    return sum(record.state is State.FINISHED for record in records)


def _time(records: Sequence[Record]) -> str:
    results = (record.result for record in records if record.result is not None)
    return duration(sum(sum(result.seconds.values()) for result in results))


def _by_metric(entries: Sequence[Entry]) -> Iterator[tuple[str, str, list[Entry]]]:
    """Yields each metric, its unit and direction, and its entries."""
    for metric in dict.fromkeys(entry.metric for entry in entries):
        own = [entry for entry in entries if entry.metric == metric]
        unit = f"{own[0].unit}, " if own[0].unit else ""
        yield metric, f"({unit}{own[0].better} is better)", own


def _table(entries: Sequence[Entry], records: Sequence[Record]) -> doc.Table:
    columns = (
        *("cell", "mean over seeds", "seeds", "difference to the baseline"),
        *("published", "its difference, source"),
    )
    rows: list[doc.Row] = []
    for metric, unit, own in _by_metric(entries):
        heading = (f"{metric} ", doc.Mark(unit, "small"))
        rows.append([doc.Cell(heading, columns=len(columns), is_heading=True)])
        rows += [_row(entry, records) for entry in own]
    return doc.Table(rows, columns, unbroken={1})


def _row(entry: Entry, records: Sequence[Record]) -> doc.Row:
    states = (str(record.state) for record in records if record.cell.name == entry.cell)
    published: list[doc.Words] = ["", ""]
    if entry.published is not None:
        change = entry.published_difference
        told = f"{change:+.3g}\n" if change is not None else ""
        published = [
            (f"{entry.published.value:g}\n", doc.Mark(entry.published.name, "small")),
            (told, doc.Mark(entry.published.source, "small")),
        ]
    return (
        entry.cell,
        _told(entry.mean, entry.unit) if entry.mean else ", ".join(dict.fromkeys(states)),
        f"{len(entry.values)} of {entry.num_planned}",
        _difference(entry),
        *published,
    )


def _difference(entry: Entry) -> doc.Words:
    if entry.difference is None:
        return ""
    told = {Verdict.BEATS: "better", Verdict.WORSE: "worse"}.get(entry.verdict, "not separated")
    if math.isnan(entry.difference.half_width):
        told = ONE_SEED
    chip = doc.Mark(told, "chip", str(entry.verdict))
    return _told(entry.difference, entry.unit, signed=True), "\n", chip


def _told(
    found: SeedMean, unit: str, *, signed: bool = False, with_error: bool = True
) -> doc.Words:
    """Returns a mean with its interval; both are unknown with one seed."""
    interval = (found.value - found.half_width, found.value + found.half_width)
    error = found.standard_error if with_error else math.nan
    return estimate(found.value, error, interval, unit, signed=signed)


def _shift(study: StudySettings, shift: Sequence[Distance]) -> Iterator[doc.Section]:
    if study.shift is None:
        return
    lead = (
        f"Cosine distance; the embedding is the {EMBEDDING}. ± is one standard error over "
        "documents, by bootstrap. Distances of other embeddings are on other scales."
    )
    table = _distances(study.shift, shift, lambda source: ("\n", doc.Mark(source, "small")))
    yield doc.Section(f"How far the texts lie from {study.shift.corpus}", [table], lead)


def _distances(
    settings: ShiftSettings, shift: Sequence[Distance], source: Callable[[str], doc.Words]
) -> doc.Table:
    """Returns a table of distances; ``source`` formats the source of a published one."""
    rows: list[doc.Row] = [(d.text, estimate(d.value, d.standard_error)) for d in shift]
    for each in settings.published:
        rows.append(((f"published: {each.name}", source(each.source)), f"{each.value:g}"))
    return doc.Table(rows, ("text", "distance"), unbroken={1})


def _cells(records: Sequence[Record]) -> doc.Table:
    columns = (
        *("cell", "seed", "state", "tokens", "FLOPs, used / planned"),
        *("parameters, active / total", "time", "hash"),
    )
    rows: list[doc.Row] = []
    for record in records:
        rows.append(_cell_row(record))
        if record.error:
            rows.append([doc.Cell(record.error, columns=len(columns))])
    return doc.Table(rows, columns, unbroken={3, 4, 5, 6})


def _cell_row(record: Record) -> doc.Row:
    cost, result, cell = record.cost, record.result, record.cell
    verdict = {State.FINISHED: "beats", State.FAILED: "worse"}.get(record.state, "not separated")
    flops = f"{result.flops:.4g}" if result is not None else "–"
    return (
        cell.name,
        str(cell.seed),
        doc.Mark(str(record.state), "chip", verdict),
        f"{result.tokens:,}" if result is not None else "",
        flops + (f" / {cost.flops:.4g}" if cost is not None else ""),
        f"{cost.active_parameters:,} / {cost.total_parameters:,}" if cost else "",
        duration(sum(result.seconds.values())) if result is not None else "",
        cell.key,
    )


def _reproduction(study: StudySettings, records: Sequence[Record], command: str) -> list[doc.Block]:
    commands = "\n".join(
        f"# {record.cell.title}\n" + shlex.join(["chiasm", "study", "cell", str(record.folder)])
        for record in records
    )
    versions = next((r.result.versions for r in records if r.result is not None), {})
    return [
        doc.Commands(command),
        doc.Commands(commands, "Every cell's own command (study run writes its folder first)"),
        folded("The study", study),
        folded("Versions and machine of the first finished cell", versions),
    ]


def _summary(
    study: StudySettings,
    records: Sequence[Record],
    entries: Sequence[Entry],
    shift: Sequence[Distance],
    command: str,
) -> doc.Report:
    """Returns the report for docs: the figure, the numbers, and where they come from."""
    measured = any(entry.mean is not None for entry in entries)
    blocks: list[doc.Block] = [
        doc.Figure(FIGURE if measured else "", "Every metric, every cell and every seed"),
        doc.Prose(SHORT_READING),
    ]
    for metric, unit, own in _by_metric(entries):
        published = any(entry.published is not None for entry in own)
        columns = ("cell", "mean", "difference", "", *(["published"] if published else []))
        rows = [_short_row(entry)[: len(columns)] for entry in own]
        title = (doc.Mark(metric, "strong"), f" {unit}")
        blocks += [doc.Prose(title), doc.Table(rows, columns)]
    if study.shift is not None:
        title = (
            doc.Mark(f"Distance of texts to {study.shift.corpus}", "strong"),
            f": cosine, ± one standard error. The embedding is the {EMBEDDING}; other embeddings "
            "have other scales.",
        )
        blocks += [doc.Prose(title), _distances(study.shift, shift, " ({})".format)]
    origin = [
        f"- {_num_finished(records)} of {len(records)} runs finished, {_time(records)} in all",
        f"- made again by `{command}`",
    ]
    results = [record.result for record in records if record.result is not None]
    for name in ("git_commit", "machine", "torch") if results else ():
        values = dict.fromkeys(str(result.versions.get(name)) for result in results)
        origin.append(f"- {name.replace('_', ' ')}: {'; '.join(values)}")
    blocks.append(doc.Prose("\n".join(origin)))
    return doc.Report(study.name, [doc.Section("", blocks)], intro=[study.question])


def _short_row(entry: Entry) -> doc.Row:
    difference: doc.Words = ""
    verdict, published = "baseline", ""
    if entry.difference is not None:
        difference = _told(entry.difference, entry.unit, signed=True, with_error=False)
        verdict = ONE_SEED if math.isnan(entry.difference.half_width) else str(entry.verdict)
    if entry.published is not None:
        change = entry.published_difference
        told = f"{entry.published.value:g}" + (f" ({change:+.3g})" if change is not None else "")
        published = f"{told}, {entry.published.name}; {entry.published.source}"
    mean = _told(entry.mean, entry.unit, with_error=False) if entry.mean else "–"
    return entry.cell, mean, difference, verdict, published
