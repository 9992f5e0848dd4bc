"""paper.html and paper.json: every finding of the paper beside what was measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from chiasm.errors import UserError
from chiasm.intervals import Interval
from chiasm.paper.agreement import RULES, Agreement
from chiasm.paper.figure import agreement_figure
from chiasm.paper.findings import Findings
from chiasm.paper.judge import Counterpart, JudgedFinding, JudgedNumber
from chiasm.paper.results import Result, scale
from chiasm.paper.table import commands_of, paper_record
from chiasm.report.frame import frame
from chiasm.report.wording import duration
from chiasm.whole import write_json, write_whole

CHIPS = {
    Agreement.AGREES: "beats",
    Agreement.DISAGREES: "worse",
    Agreement.UNDECIDED: "not-separated",
    Agreement.NOT_MEASURED: "",
}
"""Verdict → class of its chip."""

REFIT_VERDICTS = (Agreement.AGREES, Agreement.DISAGREES, Agreement.UNDECIDED)

HEAD = (
    "Every finding of the paper, its published number, and what was measured here: at laptop size, "
    "on an embedded world, so that signs and exponents can be compared and sizes cannot. The "
    "verdicts follow the rules below and are made by the program from the kept results."
)


@dataclass(frozen=True)
class PaperFiles:
    """Where the page lies."""

    page: Path
    table: Path


def write_paper(
    findings: Findings,
    judged: Sequence[JudgedFinding],
    kept: Mapping[str, Result],
    folder: Path,
) -> PaperFiles:
    """Write paper.html and paper.json.

    Raises:
        UserError: the folder cannot be written.
    """
    parts = dict.fromkeys(each.finding.part for each in judged)
    body = [
        _head(findings, judged),
        _figure(judged),
        *(_part(part, findings, judged) for part in parts),
        _results(findings, kept),
        _rules(),
        "<footer>The same for programs is paper.json, beside this file.</footer>",
    ]
    files = PaperFiles(folder / "paper.html", folder / "paper.json")
    record = paper_record(findings, judged, kept)
    try:
        write_whole(files.page, frame("chiasm: the paper's findings", body))
        write_json(files.table, record)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written: {error.strerror}") from error
    return files


def _head(findings: Findings, judged: Sequence[JudgedFinding]) -> str:
    counts = Counter(each.agreement for each in judged)
    refits = [
        each.agreement
        for finding in judged
        for number in finding.numbers
        if not number.published.follows
        for each in number.measurements
        if each.is_refit
    ]
    facts = {
        "findings": str(len(judged)),
        **{str(verdict): str(counts[verdict]) for verdict in Agreement},
        "refits of the paper's own points: " + ", ".join(REFIT_VERDICTS): " / ".join(
            str(refits.count(verdict)) for verdict in REFIT_VERDICTS
        ),
    }
    cells = "".join(f"<div><b>{escape(v)}</b>{escape(k)}</div>" for k, v in facts.items())
    return (
        f"<header><h1>chiasm <small>the paper's findings</small></h1><p>{escape(findings.article)}"
        f'</p><p>{escape(HEAD)}</p><div class="facts">{cells}</div></header>'
    )


def _figure(judged: Sequence[JudgedFinding]) -> str:
    svg = agreement_figure(judged)
    if not svg:
        return ""
    return (
        "<h2>In one figure</h2><p class='lead'>Black strokes are published. Dots are measured "
        "here, hollow squares are refits of the paper's own points, with 95 % intervals: green "
        "agrees, red disagrees, yellow decides nothing.</p>"
        f'<div class="plot">{svg}</div>'
    )


def _part(part: str, findings: Findings, judged: Sequence[JudgedFinding]) -> str:
    return f"<h2>{escape(part)}</h2>" + "".join(
        _finding(findings, each) for each in judged if each.finding.part == part
    )


def _finding(findings: Findings, judged: JudgedFinding) -> str:
    finding = judged.finding
    rows = "".join(_number(number, finding.waits) for number in judged.numbers)
    commands = "<br>".join(map(escape, commands_of(findings, judged)))
    again = f"<tr><td>make it again</td><td colspan='3'><code>{commands}</code></td></tr>"
    return (
        f"<h3 id='{finding.id}'>{escape(finding.claim)} {_chip(judged.agreement)}</h3>"
        "<div class='wide'><table><tr><th style='width:33%'>published</th><th style='width:34%'>"
        "measured here, with its 95 % interval</th><th style='width:19%'>at which size</th>"
        f"<th>verdict</th></tr>{rows}{again if commands else ''}</table></div>"
    )


def _number(judged: JudgedNumber, waits: str) -> str:
    published = judged.published
    left = (
        f"{escape(published.name)}<br><b>{_published(judged)}</b><br>"
        f"<small>{escape(published.source)}</small>"
    )
    rows = [
        f"<td>{_measured(each)}</td><td>{_lines(each.scale)}<br>"
        f"<a href='#result-{escape(each.result)}'>{escape(each.result)}</a></td>"
        f"<td>{_verdict(judged, each.agreement, each.doubt)}</td>"
        for each in judged.measurements
    ]
    if all(each.is_refit for each in judged.measurements):
        chip = _verdict(judged, Agreement.NOT_MEASURED)
        rows.append(f"<td colspan='2'><small>{escape(waits)}</small></td><td>{chip}</td>")
    first, *others = rows
    return f"<tr><td rowspan='{len(rows)}'>{left}</td>{first}</tr>" + "".join(
        f"<tr>{row}</tr>" for row in others
    )


def _verdict(judged: JudgedNumber, agreement: Agreement, doubt: str = "") -> str:
    if judged.published.follows:
        return f"<small>follows from {escape(judged.published.follows)}</small>"
    return _chip(agreement) + (f"<br><small>{escape(doubt)}</small>" if doubt else "")


def _lines(scale: str) -> str:
    return escape(scale).replace("; ", "<br>")


def _published(judged: JudgedNumber) -> str:
    value, against = judged.published.value, judged.published.against
    if value is None:
        return "no number"
    told = f"{value:g}"
    if judged.published.uncertainty:
        told += f" ± {judged.published.uncertainty:g}"
    if against is None:
        return told
    share = f"{100 * (value - against) / against:+.1f} %".replace("-", "−")
    return f"{told} against {against:g} ({share})"


def _measured(measurement: Counterpart) -> str:
    if not measurement.intervals:
        return "<small>not run yet, or not kept</small>"
    lines = [
        (f"{escape(method)}: " if measurement.quantity != "difference" else "")
        + _interval(found, measurement.quantity)
        for method, found in measurement.intervals.items()
    ]
    if measurement.means is not None:
        own, other = measurement.means
        unit = f" {escape(measurement.unit)}" if measurement.unit else ""
        lines.insert(0, f"{own:.4g} against {other:.4g}{unit}; difference")
    note = f"<br><small>{escape(measurement.note)}</small>" if measurement.note else ""
    return "<br>".join(lines) + note


def _interval(found: Interval, quantity: str) -> str:
    sign = "+" if quantity == "difference" else ""
    factor = "×" if quantity == "growth" else ""
    if not found.is_known:
        return f"{factor}{found.value:{sign}.3g} <small>(no interval)</small>"
    value, low, high = (
        f"{each:{sign}.3g}".replace("-", "−") for each in (found.value, found.low, found.high)
    )
    return f"<b>{factor}{value}</b> <small>[{low}, {high}]</small>"


def _chip(agreement: Agreement) -> str:
    return f'<span class="chip {CHIPS[agreement]}">{escape(str(agreement))}</span>'


def _results(findings: Findings, kept: Mapping[str, Result]) -> str:
    blocks = []
    for name, settings in findings.results.items():
        result = kept.get(name)
        blocks.append(
            f"<h3 id='result-{escape(name)}'>{escape(name)}</h3>"
            f"<pre>{escape(chr(10).join(settings.commands))}"
            f"</pre>{_provenance(result, settings.refit)}"
        )
    return (
        "<h2>Make it again</h2><p class='lead'>What runs each result, and what the kept one was "
        f"made with.</p>{''.join(blocks)}"
    )


def _provenance(result: Result | None, refit_of: str) -> str:
    if refit_of:
        return "<p class='lead'>Nothing is trained; this page makes the refit itself.</p>"
    if result is None:
        return "<p class='lead'>No result is kept yet.</p>"
    facts = {
        "size": scale(result.cells),
        "runs": str(len(result.cells)),
        "time of all runs": duration(sum(cell.seconds for cell in result.cells)),
        "commit": ", ".join(result.made_with("git_commit")),
        "machine": "; ".join(result.made_with("machine")),
        "what the fit objects to": " · ".join(result.flags),
    }
    entries = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items() if text
    )
    return f"<dl>{entries}</dl>"


def _rules() -> str:
    entries = "".join(
        f"<dt>{escape(what)}</dt><dd>{escape(rule)}</dd>" for what, rule in RULES.items()
    )
    return f"<h2>When something agrees</h2><dl>{entries}</dl>"
