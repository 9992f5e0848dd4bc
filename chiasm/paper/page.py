"""paper.html and paper.json: the paper's findings beside measurements of this repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.intervals import Interval
from chiasm.paper.agreement import RULES, Agreement
from chiasm.paper.figure import agreement_figure
from chiasm.paper.findings import Findings, results_of
from chiasm.paper.judge import Counterpart, JudgedFinding, JudgedNumber
from chiasm.paper.results import Result, scale
from chiasm.report import doc
from chiasm.report.files import ReportFiles, write_page, writing
from chiasm.report.numbers import duration, number

CHIPS = {
    Agreement.AGREES: "beats",
    Agreement.DISAGREES: "worse",
    Agreement.UNDECIDED: "not separated",
    Agreement.NOT_MEASURED: "",
}
"""Style of the chip by verdict."""

REFIT_VERDICTS = (Agreement.AGREES, Agreement.DISAGREES, Agreement.UNDECIDED)

HEAD = (
    "Every finding of the paper, its published number, and what was measured here: at laptop size, "
    "on an embedded world, so that signs and exponents can be compared and sizes cannot. The "
    "verdicts follow the rules below and are made by the program from the kept results."
)


def write_paper(
    findings: Findings,
    judged: Sequence[JudgedFinding],
    kept: Mapping[str, Result],
    folder: Path,
) -> ReportFiles:
    """Writes paper.html and paper.json; returns their paths.

    Raises:
        UserError: the folder cannot be written.
    """
    report = paper_report(findings, judged, kept)
    with writing("the page", folder, "Give another folder with --out"):
        return write_page(report, folder / "paper.html")


def paper_report(
    findings: Findings, judged: Sequence[JudgedFinding], kept: Mapping[str, Result]
) -> doc.Report:
    """Returns the report: findings with verdicts, commands that reproduce them, and rules."""
    parts = dict.fromkeys(each.finding.part for each in judged)
    return doc.Report(
        title="chiasm: the paper's findings",
        subject="the paper's findings",
        intro=[findings.article, HEAD],
        facts=_facts(judged),
        sections=[
            doc.Section(
                "In one figure",
                [doc.Figure(agreement_figure(judged))],
                "Black strokes are published. Dots are measured here, hollow squares are refits of "
                "the paper's own points, with 95 % intervals: green agrees, red disagrees, yellow "
                "decides nothing.",
            ),
            *(
                doc.Section(
                    part, [_finding(findings, each) for each in judged if each.finding.part == part]
                )
                for part in parts
            ),
            doc.Section(
                "Make it again",
                [_result(name, findings, kept.get(name)) for name in findings.results],
                "What runs each result, and what the kept one was made with.",
            ),
            doc.Section("When something agrees", [doc.Terms(RULES)]),
        ],
        footer="The same for programs is paper.json, beside this file.",
        record=_record(findings, judged, kept),
    )


def _facts(judged: Sequence[JudgedFinding]) -> dict[str, str]:
    counts = Counter(each.agreement for each in judged)
    refits = Counter(
        each.agreement
        for finding in judged
        for number in finding.numbers
        if not number.published.follows
        for each in number.measurements
        if each.is_refit
    )
    return {
        "findings": str(len(judged)),
        **{str(verdict): str(counts[verdict]) for verdict in Agreement},
        f"refits of the paper's own points: {', '.join(REFIT_VERDICTS)}": " / ".join(
            str(refits[verdict]) for verdict in REFIT_VERDICTS
        ),
    }


def _commands(findings: Findings, judged: JudgedFinding) -> list[str]:
    """Returns the commands that reproduce a finding's measurements."""
    results = (findings.results[name] for name in results_of(judged.finding))
    return [command for result in results for command in result.commands]


def _finding(findings: Findings, judged: JudgedFinding) -> doc.Section:
    finding = judged.finding
    rows = [row for number in judged.numbers for row in _rows(number, finding.waits)]
    if commands := _commands(findings, judged):
        rows.append(("make it again", doc.Cell(doc.Mark("\n".join(commands), "code"), columns=3)))
    columns = (
        *("published", "measured here, with its 95 % interval", "at which size"),
        "verdict",
    )
    table = doc.Table(rows, columns, widths=("33%", "34%", "19%"))
    heading = (f"{finding.claim} ", _chip(judged.agreement))
    return doc.Section(heading, [table], anchor=finding.id)


def _rows(judged: JudgedNumber, waits: str) -> list[doc.Row]:
    """Returns a row per measurement, beside the published number."""
    rows: list[doc.Row] = [
        (
            _measured(each),
            (
                each.scale.replace("; ", "\n") + "\n",
                doc.Mark(each.result, "link", f"result-{each.result}"),
            ),
            _verdict(judged, each.agreement, each.doubt),
        )
        for each in judged.measurements
    ]
    if all(each.is_refit for each in judged.measurements):
        chip = _verdict(judged, Agreement.NOT_MEASURED)
        rows.append((doc.Cell(doc.Mark(waits, "small"), columns=2), chip))
    published = judged.published
    told = (
        f"{published.name}\n",
        doc.Mark(_published(judged), "strong"),
        "\n",
        doc.Mark(published.source, "small"),
    )
    return [(doc.Cell(told, rows=len(rows)), *rows[0]), *rows[1:]]


def _verdict(judged: JudgedNumber, agreement: Agreement, doubt: str = "") -> doc.Words:
    if judged.published.follows:
        return doc.Mark(f"follows from {judged.published.follows}", "small")
    return (_chip(agreement), *(("\n", doc.Mark(doubt, "small")) if doubt else ()))


def _published(judged: JudgedNumber) -> str:
    value, against = judged.published.value, judged.published.against
    if value is None:
        return "no number"
    told = f"{value:g}"
    if judged.published.uncertainty:
        told += f" ± {judged.published.uncertainty:g}"
    if against is None:
        return told
    share = number((value - against) / against, "share", signed=True)
    return f"{told} against {against:g} ({share})"


def _measured(measurement: Counterpart) -> doc.Words:
    if not measurement.intervals:
        return doc.Mark("not run yet, or not kept", "small")
    lines: list[doc.Words] = [
        (
            f"{method}: " if measurement.quantity != "difference" else "",
            _interval(found, measurement.quantity),
        )
        for method, found in measurement.intervals.items()
    ]
    if measurement.means is not None:
        own, other = measurement.means
        unit = f" {measurement.unit}" if measurement.unit else ""
        lines.insert(0, f"{own:.4g} against {other:.4g}{unit}; difference")
    if measurement.note:
        lines.append(doc.Mark(measurement.note, "small"))
    return tuple(part for line in lines for part in ("\n", line))[1:]


def _interval(found: Interval, quantity: str) -> doc.Words:
    value, low, high = (
        number(each, form=".3g", signed=quantity == "difference")
        for each in (found.value, found.low, found.high)
    )
    factor = "×" if quantity == "growth" else ""
    if not found.is_known:
        return f"{factor}{value} ", doc.Mark("(no interval)", "small")
    return doc.Mark(factor + value, "strong"), doc.Mark(f" [{low}, {high}]", "small")


def _chip(agreement: Agreement) -> doc.Mark:
    return doc.Mark(str(agreement), "chip", CHIPS[agreement])


def _result(name: str, findings: Findings, result: Result | None) -> doc.Section:
    settings = findings.results[name]
    made_with: doc.Block
    if settings.refit:
        made_with = doc.Prose("Nothing is trained; this page makes the refit itself.")
    elif result is None:
        made_with = doc.Prose("No result is kept yet.")
    else:
        facts: dict[str, doc.Words] = {
            "size": scale(result.cells),
            "runs": str(len(result.cells)),
            "time of all runs": duration(sum(cell.seconds for cell in result.cells)),
            "commit": ", ".join(result.made_with("git_commit")),
            "machine": "; ".join(result.made_with("machine")),
            "what the fit objects to": " · ".join(result.flags),
        }
        made_with = doc.Terms({fact: words for fact, words in facts.items() if words})
    commands = doc.Commands("\n".join(settings.commands))
    return doc.Section(name, [commands, made_with], anchor=f"result-{name}")


def _record(
    findings: Findings, judged: Sequence[JudgedFinding], kept: Mapping[str, Result]
) -> dict[str, Any]:
    """Returns the content of paper.json."""
    commands = {name: list(result.commands) for name, result in findings.results.items()}
    return {
        "article": findings.article,
        "rules": RULES,
        "findings": [
            {
                **each.finding.model_dump(include={"id", "part", "claim", "waits"}),
                "agreement": str(each.agreement),
                "numbers": [_number_record(number) for number in each.numbers],
                "commands": _commands(findings, each),
            }
            for each in judged
        ],
        "results": {
            name: {
                "scale": scale(result.cells),
                "commits": result.made_with("git_commit"),
                "machines": result.made_with("machine"),
                "seconds": sum(cell.seconds for cell in result.cells),
                "flags": result.flags,
                "commands": commands.get(name, []),
            }
            for name, result in kept.items()
        },
    }


def _number_record(judged: JudgedNumber) -> dict[str, Any]:
    return {
        "published": judged.published.model_dump(exclude={"study", "laws"}),
        "agreement": None if judged.published.follows else str(judged.agreement),
        "measured": [_measurement_record(each) for each in judged.measurements],
    }


def _measurement_record(measured: Counterpart) -> dict[str, Any]:
    found = measured.intervals.items()
    return {
        "result": measured.result,
        "refit": measured.is_refit,
        "quantity": measured.quantity,
        "agreement": str(measured.agreement),
        "by_method": {method: [own.value, own.low, own.high] for method, own in found},
        **{name: vars(measured)[name] for name in ("means", "unit", "scale", "note", "doubt")},
    }
