"""report.html: one page that needs nothing beside it.

Everything that comes from data, model or recipe is escaped; pictures are data URIs and figures
inline SVG, so the file can be mailed or archived as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from chiasm.evaluation.evaluation import Evaluation, Sample
from chiasm.evaluation.rows import Row
from chiasm.intervals import Verdict
from chiasm.report.curves import flow_figure, horizon_figure, loss_figure
from chiasm.report.frame import fold, frame
from chiasm.report.pictures import data_uri
from chiasm.report.run_folder import RunFolder
from chiasm.report.wording import (
    BASELINES,
    duration,
    number,
    signed,
    verdict_phrase,
    with_error,
)

SAMPLE_SECTIONS = {
    "caption to picture": (
        "What it draws",
        "Pictures drawn from captions that training never saw. A caption leaves much open, so the "
        "truth is one of many right pictures; the truth through the tokenizer is the sharpest that "
        "this model could draw.",
    ),
    "questions": (
        "What it answers",
        "Questions about held-out views, answered greedily.",
    ),
    "picture to caption": (
        "What it sees",
        "Captions of held-out pictures, written greedily.",
    ),
    "next view": (
        "What it imagines",
        "The next view after an action, beside the truth and the truth through the tokenizer.",
    ),
    "rollout": (
        "How far ahead it imagines",
        "One view after the other, each from the imagined ones before it and the next action; "
        "beside each, the truth through the tokenizer.",
    ),
    "instructions": (
        "Where it goes when told",
        "The views that it imagines after a sentence; where they lead, by the engine; and where "
        "the expert came.",
    ),
    "plans": (
        "What it plans",
        "From the start to the goal picture: the end of the plan as the model imagines it, and "
        "what it imagines at the end of each baseline.",
    ),
    "continuation": (
        "What it writes",
        "Free continuations, in which the model itself decides when to open a picture.",
    ),
}
"""Section → heading and what to look for."""


@dataclass(frozen=True)
class Provenance:
    """How a run came to be: what a reader needs to make it again."""

    command: str
    seconds: Mapping[str, float]
    """Stage → how long it took."""
    facts: Mapping[str, str]
    """Short facts for the head of the page, for example parameters and tokens."""


def render_page(evaluation: Evaluation, run: RunFolder, provenance: Provenance) -> str:
    """The whole page as HTML."""
    title = f"chiasm report: {run.path.resolve().name}"
    body = [
        _head(evaluation, run, provenance),
        _headlines(evaluation.rows),
        *(_samples(evaluation, section) for section in SAMPLE_SECTIONS),
        _training(evaluation, run),
        _table(evaluation),
        _reading(evaluation),
        _reproduction(evaluation, run, provenance),
    ]
    return frame(title, body)


def _head(evaluation: Evaluation, run: RunFolder, provenance: Provenance) -> str:
    facts = {
        **provenance.facts,
        "time": duration(sum(_stages(evaluation, provenance).values())),
        "evaluation seed": str(evaluation.settings.seed),
    }
    cells = "".join(f"<div><b>{escape(v)}</b>{escape(k)}</div>" for k, v in facts.items())
    return (
        f"<header><h1>chiasm <small>{escape(run.path.resolve().name)}</small></h1>"
        "<p>One decoder-only transformer, pretrained from scratch. Every number below is measured "
        "on held-out data and stands beside a baseline. Standard errors are clustered by map (by "
        "picture or document where there are no maps), and a difference counts when it exceeds two "
        "of them.</p>"
        f'<div class="facts">{cells}</div></header>'
    )


def _headlines(rows: Iterable[Row]) -> str:
    chosen = [row for row in rows if row.headline]
    if not chosen:
        return ""
    won = sum(row.verdict is Verdict.BEATS for row in chosen)
    cards = "".join(map(_card, chosen))
    return (
        f"<h2>In short</h2><p class='lead'>{won} of {len(chosen)} headline comparisons beat their "
        f"baseline by more than two standard errors.</p><div class='cards'>{cards}</div>"
    )


def _card(row: Row) -> str:
    baseline = number(row.baseline, row.unit) if row.baseline is not None else ""
    unit = "" if row.unit == "share" else row.unit
    error = with_error(row.value, row.standard_error, row.unit).partition("±")[2]
    return (
        f'<div class="card {_css(row)}"><div class="name">{escape(row.name)}</div>'
        f'<div class="value">{number(row.value, row.unit)} <span>{escape(unit)} '
        f"{f'±{error}' if error else ''}</span></div>"
        f'<div class="versus">{escape(row.baseline_name or "")}: {baseline} '
        f"(difference {signed(row)})</div>{_chip(row)}</div>"
    )


def _css(row: Row) -> str:
    return str(row.verdict).replace(" ", "-")


def _chip(row: Row) -> str:
    return f'<span class="chip {_css(row)}">{escape(verdict_phrase(row))}</span>'


def _samples(evaluation: Evaluation, section: str) -> str:
    heading, explanation = SAMPLE_SECTIONS[section]
    chosen = [sample for sample in evaluation.samples if sample.section == section]
    if not chosen:
        return ""
    small = " small" if max(len(sample.panels) for sample in chosen) < 2 else ""
    return (
        f"<h2>{heading}</h2><p class='lead'>{explanation} The first of the held-out split, not "
        f"picked by hand.</p>{_horizons(evaluation) if section == 'rollout' else ''}"
        f'<div class="samples{small}">{"".join(map(_sample, chosen))}</div>'
    )


def _horizons(evaluation: Evaluation) -> str:
    figure = horizon_figure(evaluation.horizon_points)
    return f'<div class="plot">{figure}</div>' if figure else ""


def _sample(sample: Sample) -> str:
    panels = "".join(
        f'<figure><img alt="{escape(panel.label)}" src="{data_uri(panel.pixels)}">'
        f"<figcaption>{escape(panel.label)}</figcaption></figure>"
        for panel in sample.panels
    )
    lines = "".join(
        f"<div>{f'<i>{escape(label)}</i>' if label else ''}{escape(text)}</div>"
        for label, text in sample.lines
    )
    count = len(sample.panels)
    form = " side" if count == 1 else " full" if count > 5 else " full side" if count > 3 else ""
    return (
        f'<div class="sample{form}"><div class="panels">{panels}</div>'
        f'<div class="lines">{lines}</div></div>'
    )


def _training(evaluation: Evaluation, run: RunFolder) -> str:
    figures = [loss_figure(run), flow_figure(evaluation.flow_points)]
    plots = "".join(f'<div class="plot">{svg}</div>' for svg in figures if svg)
    return f"<h2>How it learned</h2>{plots}" if plots else ""


def _table(evaluation: Evaluation) -> str:
    body = []
    for section in dict.fromkeys(row.section for row in evaluation.rows):
        body.append(f'<tr class="section"><td colspan="7">{escape(section)}</td></tr>')
        body += [_table_row(row) for row in evaluation.rows if row.section == section]
    skipped = "".join(
        f"<dt>{escape(section)}</dt><dd>{escape(reason)}</dd>"
        for section, reason in evaluation.skipped.items()
    )
    passed_over = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(found))}</dd>"
        for name, found in evaluation.passed_over.items()
    )
    return (
        "<h2>Every number</h2><p class='lead'>± is one standard error. Differences are paired: "
        "value minus baseline, item by item.</p><div class='wide'><table><tr><th>measure</th>"
        "<th>value</th><th>unit</th><th>baseline</th><th>difference</th><th>verdict</th>"
        f"<th>items / clusters</th></tr>{''.join(body)}</table></div>"
        + (f"<h3>Not measured</h3><dl>{skipped}</dl>" if skipped else "")
        + (f"<h3>Held-out data that cannot be used</h3><dl>{passed_over}</dl>" * bool(passed_over))
    )


def _table_row(row: Row) -> str:
    baseline = ""
    if row.baseline is not None:
        baseline = f"{number(row.baseline, row.unit)} <br><small>{escape(str(row.baseline_name))}"
        baseline += "</small>"
    direction = "higher is better" if row.better == "higher" else "lower is better"
    return (
        f"<tr><td>{escape(row.name)}</td>"
        f'<td class="n">{with_error(row.value, row.standard_error, row.unit)}</td>'
        f'<td title="{direction}">{escape(row.unit)} {"↑" if row.better == "higher" else "↓"}</td>'
        f'<td>{baseline}</td><td class="n">{signed(row)}</td><td>{_chip(row)}</td>'
        f'<td class="n">{row.num_items} / {row.num_clusters}</td></tr>'
    )


def _reading(evaluation: Evaluation) -> str:
    present = {row.section for row in evaluation.rows}
    entries = "".join(
        f"<dt>{escape(section)}</dt><dd>{escape(text)}</dd>"
        for section, text in BASELINES.items()
        if section in present
    )
    return f"<h2>What the baselines are</h2><dl>{entries}</dl>" if entries else ""


def _reproduction(evaluation: Evaluation, run: RunFolder, provenance: Provenance) -> str:
    stages = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{duration(value)}</td></tr>'
        for name, value in _stages(evaluation, provenance).items()
    )
    settings = json.dumps(evaluation.settings.model_dump(mode="json"), indent=2)
    versions = json.dumps(run.versions, indent=2)
    return (
        f"<h2>Make it again</h2><pre>{escape(provenance.command)}</pre>"
        f"<div class='wide'><table><tr><th>stage</th><th>time</th></tr>{stages}</table></div>"
        + fold("The resolved recipe", run.recipe)
        + fold("Evaluation settings", settings)
        + fold("Versions and machine", versions)
        + "<footer>The same table for programs is report.json, in this folder.</footer>"
    )


def _stages(evaluation: Evaluation, provenance: Provenance) -> dict[str, float]:
    own = {f"evaluation: {name}": value for name, value in evaluation.seconds.items()}
    return {**provenance.seconds, **own}
