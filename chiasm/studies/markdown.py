"""A study's report as Markdown, with its figure beside it: what is kept in docs and read there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chiasm.intervals import SeedMean
from chiasm.report.wording import duration, number
from chiasm.studies.collect import Record, State
from chiasm.studies.settings import StudySettings
from chiasm.studies.shift import EMBEDDING, Distance
from chiasm.studies.table import Entry

FIGURE = "study.svg"
"""The figure's file, in the same folder."""

HOW_TO_READ = (
    "Means over seeds with Student's 95 % interval; differences to the baseline are paired by seed "
    "and count when their interval leaves out zero. Published values come from other data, models "
    "and sizes: compare signs."
)


def study_markdown(
    study: StudySettings,
    records: Sequence[Record],
    entries: Sequence[Entry],
    shift: Sequence[Distance],
    command: str,
) -> str:
    """The whole text."""
    measured = any(entry.mean is not None for entry in entries)
    parts = [
        f"# {study.name}",
        study.question,
        f"![Every metric, every cell and every seed]({FIGURE})" if measured else "",
        HOW_TO_READ,
        *_tables(entries),
        *([_distances(study, shift)] if shift else []),
        _origin(records, command),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _tables(entries: Sequence[Entry]) -> list[str]:
    tables = []
    for metric in dict.fromkeys(entry.metric for entry in entries):
        own = [entry for entry in entries if entry.metric == metric]
        published = any(entry.published is not None for entry in own)
        unit = f"{own[0].unit}, " if own[0].unit else ""
        columns = ["cell", "mean", "difference", "", *(["published"] if published else [])]
        lines = [_row(columns), _row(["---"] * len(columns))]
        lines += [_row(_values(entry, published)) for entry in own]
        tables.append(f"**{metric}** ({unit}{own[0].better} is better)\n\n" + "\n".join(lines))
    return tables


def _values(entry: Entry, published: bool) -> list[str]:
    difference, verdict = "", "baseline"
    if entry.difference is not None:
        difference = _told(entry.difference, entry.unit, signed=True)
        verdict = str(entry.verdict)
        if math.isnan(entry.difference.half_width):
            verdict = "one seed: no interval"
    values = [entry.cell, _told(entry.mean, entry.unit) if entry.mean else "–", difference, verdict]
    return [*values, *([_published(entry)] if published else [])]


def _published(entry: Entry) -> str:
    if entry.published is None:
        return ""
    change = entry.published_difference
    told = f"{entry.published.value:g}" + (f" ({change:+.3g})" if change is not None else "")
    return f"{told}, {entry.published.name}; {entry.published.source}"


def _told(estimate: SeedMean, unit: str, *, signed: bool = False) -> str:
    def told(value: float) -> str:
        return ("+" if signed and value > 0 else "") + number(value, unit)

    if math.isnan(estimate.half_width):
        return told(estimate.value)
    low, high = estimate.value - estimate.half_width, estimate.value + estimate.half_width
    return f"{told(estimate.value)} [{told(low)}, {told(high)}]"


def _distances(study: StudySettings, shift: Sequence[Distance]) -> str:
    assert study.shift is not None  # there are no distances without it
    lines = [_row(["text", "distance"]), _row(["---", "---"])]
    lines += [_row([each.text, f"{each.value:.3f} ± {each.standard_error:.3f}"]) for each in shift]
    lines += [
        _row([f"published: {each.name} ({each.source})", f"{each.value:g}"])
        for each in study.shift.published
    ]
    return (
        f"**Distance of texts to {study.shift.corpus}**: cosine, ± one standard error. The "
        f"embedding is the {EMBEDDING}; other embeddings have other scales.\n\n" + "\n".join(lines)
    )


def _origin(records: Sequence[Record], command: str) -> str:
    results = [record.result for record in records if record.result is not None]
    finished = sum(record.state is State.FINISHED for record in records)
    lines = [
        f"- {finished} of {len(records)} runs finished, "
        f"{duration(sum(sum(result.seconds.values()) for result in results))} in all",
        f"- made again by `{command}`",
    ]
    for name in ("git_commit", "machine", "torch"):
        values = dict.fromkeys(str(result.versions.get(name)) for result in results)
        lines += [f"- {name.replace('_', ' ')}: {'; '.join(values)}"] if values else []
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
