"""A study's report, as a page, JSON and Markdown: what it found, and how to make it again."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from chiasm.intervals import SeedMean, Verdict
from chiasm.report.frame import fold, frame
from chiasm.report.wording import duration, number
from chiasm.studies.cells import baseline_of
from chiasm.studies.collect import Record, State, version_differences
from chiasm.studies.figure import comparison_figure
from chiasm.studies.held_out import open_held_out
from chiasm.studies.markdown import FIGURE, study_markdown
from chiasm.studies.plan import quantity
from chiasm.studies.settings import StudySettings
from chiasm.studies.shift import EMBEDDING, Distance, distances
from chiasm.studies.table import Entry, compare, entry_record
from chiasm.whole import write_json, write_whole

READING = (
    "Each number is the mean over seeds ± its standard error, with Student's 95 % interval in "
    "brackets. Differences are paired: a cell minus the baseline with the same seed, averaged; a "
    "difference counts when its 95 % interval leaves out zero. Intervals are over seeds alone and "
    "not corrected for the number of comparisons. All cells are measured on the same held-out "
    "documents and read through the same tokenizers. Published values come from other data, models "
    "and sizes: compare the signs of the differences, not the numbers."
)


@dataclass(frozen=True)
class StudyFiles:
    """Where a study's report lies."""

    page: Path
    table: Path
    text: Path


def write_study_report(
    study: StudySettings,
    records: Sequence[Record],
    folder: Path,
    command: str,
    cache_folder: Path | None = None,
) -> StudyFiles:
    """Write report.html, report.json, report.md and its figure into the study's folder.

    Args:
        study: what was compared.
        records: of :func:`chiasm.studies.collect.collect`.
        folder: the study's folder.
        command: what runs the study.
        cache_folder: where rendered worlds are kept, for distances of texts.
    """
    entries = compare(study, records)
    shift = _distances(study, records, cache_folder)
    figure = comparison_figure(entries, baseline_of(study, [record.cell for record in records]))
    body = [
        _head(study, records),
        _warnings(records),
        _figure(figure),
        _table(entries, study, records),
        _shift(study, shift),
        _cells(records),
        _reproduction(study, records, command),
    ]
    content = {
        "study": study.name,
        "question": study.question,
        "baseline": baseline_of(study, [record.cell for record in records]),
        "equal": quantity(study)[0] if study.equal else None,
        "entries": [entry_record(entry) for entry in entries],
        "shift": {"embedding": EMBEDDING, "distances": [asdict(each) for each in shift]},
        "states": {record.cell.title: str(record.state) for record in records},
        "versions_differ": version_differences(records),
        "command": command,
    }
    files = StudyFiles(*(folder / f"report.{kind}" for kind in ("html", "json", "md")))
    if figure:
        write_whole(folder / FIGURE, figure)
    write_whole(files.text, study_markdown(study, records, entries, shift, command))
    write_whole(files.page, frame(f"chiasm study: {study.name}", body))
    write_json(files.table, content)
    return files


def _distances(
    study: StudySettings, records: Sequence[Record], cache_folder: Path | None
) -> list[Distance]:
    if study.shift is None:
        return []
    names = dict.fromkeys((study.shift.corpus, *study.shift.texts))
    settings = {name: study.held_out[name] for name in names}
    opened = open_held_out(records[0].cell.recipe, settings, cache_folder)
    texts = {name: [document.text for document in opened[name].documents] for name in names}
    corpus = texts[study.shift.corpus]
    return distances(corpus, {name: texts[name] for name in study.shift.texts})


def _head(study: StudySettings, records: Sequence[Record]) -> str:
    finished = [record for record in records if record.state is State.FINISHED]
    spent = sum(sum(r.result.seconds.values()) for r in finished if r.result is not None)
    facts = {
        "cells and seeds finished": f"{len(finished)} of {len(records)}",
        "seeds": ", ".join(map(str, study.seeds)),
        "equal between cells": quantity(study)[0].replace("_", " ") if study.equal else "nothing",
        "baseline": baseline_of(study, [record.cell for record in records]),
        "time of all cells": duration(spent),
    }
    cells = "".join(f"<div><b>{escape(v)}</b>{escape(k)}</div>" for k, v in facts.items())
    return (
        f"<header><h1>chiasm <small>study {escape(study.name)}</small></h1>"
        f'<p>{escape(study.question)}</p><div class="facts">{cells}</div></header>'
    )


def _warnings(records: Sequence[Record]) -> str:
    differ = version_differences(records)
    if not differ:
        return ""
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape('; '.join(values))}</dd>"
        for name, values in differ.items()
    )
    return (
        "<h2>Results that were not made alike</h2><p class='lead'>The finished cells differ in "
        f"what they were made with; whether that matters is for the reader to judge.</p><dl>{lines}"
        "</dl>"
    )


def _figure(svg: str) -> str:
    if not svg:
        return "<h2>In one figure</h2><p class='lead'>No cell is finished yet.</p>"
    return (
        "<h2>In one figure</h2><p class='lead'>Dots are seeds; diamonds and bars are means and "
        "their 95 % intervals; the dashed line is the baseline.</p>"
        f'<div class="plot">{svg}</div>'
    )


def _table(entries: Sequence[Entry], study: StudySettings, records: Sequence[Record]) -> str:
    body = []
    for metric in dict.fromkeys(entry.metric for entry in entries):
        own = [entry for entry in entries if entry.metric == metric]
        direction = "higher is better" if own[0].better == "higher" else "lower is better"
        unit = f"{own[0].unit}, {direction}" if own[0].unit else direction
        title = f"{escape(metric)} <small>({escape(unit)})</small>"
        body.append(f'<tr class="section"><td colspan="6">{title}</td></tr>')
        body += [_row(entry, _state(entry, records)) for entry in own]
    return (
        f"<h2>Every number</h2><p class='lead'>{escape(READING)}</p>"
        "<div class='wide'><table><tr><th>cell</th><th>mean over seeds</th><th>seeds</th>"
        "<th>difference to the baseline</th><th>published</th><th>its difference, source</th></tr>"
        f"{''.join(body)}</table></div>"
    )


def _row(entry: Entry, state: str) -> str:
    mean = _with_interval(entry.mean, entry.unit) if entry.mean is not None else escape(state)
    published, source = "", ""
    if entry.published is not None:
        published = f"{entry.published.value:g}<br><small>{escape(entry.published.name)}</small>"
        source = f"<small>{escape(entry.published.source)}</small>"
        if entry.published_difference is not None:
            source = f"{entry.published_difference:+.3g}<br>{source}"
    return (
        f'<tr><td>{escape(entry.cell)}</td><td class="n">{mean}</td>'
        f"<td>{len(entry.values)} of {entry.num_planned}</td><td>{_difference(entry)}</td>"
        f"<td>{published}</td><td>{source}</td></tr>"
    )


def _difference(entry: Entry) -> str:
    if entry.difference is None:
        return ""
    words = {
        Verdict.BEATS: "better",
        Verdict.WORSE: "worse",
        Verdict.NOT_SEPARATED: "not separated",
    }
    verdict = entry.verdict
    told = words[verdict]
    if math.isnan(entry.difference.half_width):
        told = "one seed: no interval"
    chip = f'<span class="chip {str(verdict).replace(" ", "-")}">{told}</span>'
    return f"{_with_interval(entry.difference, entry.unit, signed=True)}<br>{chip}"


def _with_interval(estimate: SeedMean, unit: str, *, signed: bool = False) -> str:
    def told(value: float) -> str:
        sign = "+" if signed and value > 0 else ""
        return sign + number(value, unit)

    if math.isnan(estimate.half_width):
        return told(estimate.value)
    low, high = estimate.value - estimate.half_width, estimate.value + estimate.half_width
    return (
        f"{told(estimate.value)} ± {number(estimate.standard_error, unit)} "
        f"<small>[{told(low)}, {told(high)}]</small>"
    )


def _state(entry: Entry, records: Sequence[Record]) -> str:
    own = (record.state for record in records if record.cell.name == entry.cell)
    return ", ".join(dict.fromkeys(map(str, own)))


def _shift(study: StudySettings, shift: Sequence[Distance]) -> str:
    if study.shift is None:
        return ""
    rows = "".join(
        f'<tr><td>{escape(each.text)}</td><td class="n">{each.value:.3f} ± '
        f"{each.standard_error:.3f}</td></tr>"
        for each in shift
    ) + "".join(
        f"<tr><td>published: {escape(each.name)}<br><small>{escape(each.source)}</small></td>"
        f'<td class="n">{each.value:g}</td></tr>'
        for each in study.shift.published
    )
    return (
        f"<h2>How far the texts lie from {escape(study.shift.corpus)}</h2><p class='lead'>Cosine "
        f"distance; the embedding is the {escape(EMBEDDING)}. ± is one standard error "
        "over documents, by bootstrap. Distances of other embeddings are on other scales.</p>"
        f"<div class='wide'><table><tr><th>text</th><th>distance</th></tr>{rows}</table></div>"
    )


def _cells(records: Sequence[Record]) -> str:
    rows = "".join(map(_cell_row, records))
    return (
        "<h2>Every cell</h2><p class='lead'>Counted before the run, and used by it. Cells of one "
        "hash are one run.</p><div class='wide'><table><tr><th>cell</th><th>seed</th>"
        "<th>state</th><th>tokens</th><th>FLOPs, used / planned</th><th>parameters, active / "
        f"total</th><th>time</th><th>hash</th></tr>{rows}</table></div>"
    )


def _cell_row(record: Record) -> str:
    cost, result, cell = record.cost, record.result, record.cell
    css = {State.FINISHED: "beats", State.FAILED: "worse"}.get(record.state, "not-separated")
    state = f'<span class="chip {css}">{escape(str(record.state))}</span>'
    flops = f"{result.flops:.4g}" if result is not None else "–"
    flops += f" / {cost.flops:.4g}" if cost is not None else ""
    parameters = f"{cost.active_parameters:,} / {cost.total_parameters:,}" if cost else ""
    time = duration(sum(result.seconds.values())) if result is not None else ""
    tokens = f"{result.tokens:,}" if result is not None else ""
    return (
        f"<tr><td>{escape(cell.name)}</td><td>{cell.seed}</td><td>{state}</td>"
        f'<td class="n">{tokens}</td><td class="n">{flops}</td><td class="n">{parameters}</td>'
        f'<td class="n">{time}</td><td>{cell.key}</td></tr>{_error_row(record)}'
    )


def _error_row(record: Record) -> str:
    if not record.error:
        return ""
    return f'<tr><td colspan="8" class="lines"><div>{escape(record.error)}</div></td></tr>'


def _reproduction(study: StudySettings, records: Sequence[Record], command: str) -> str:
    commands = "\n".join(
        f"# {record.cell.title}\n" + shlex.join(["chiasm", "study", "cell", str(record.folder)])
        for record in records
    )
    versions = next((dict(r.result.versions) for r in records if r.result is not None), {})
    settings = json.dumps(study.model_dump(mode="json"), indent=1)
    return (
        f"<h2>Make it again</h2><pre>{escape(command)}</pre>"
        + fold("Every cell's own command (study run writes its folder first)", commands)
        + fold("The study", settings)
        + fold("Versions and machine of the first finished cell", json.dumps(versions, indent=1))
        + "<footer>The same for programs is report.json, in this folder; every cell's metrics and "
        "counts are in cells.json.</footer>"
    )
