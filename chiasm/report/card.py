"""The card of an exported model: what it is, of which data, how good, and what it cannot do.

It is Markdown under the header that model hubs read. Numbers are those of the run's evaluation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chiasm.data.asking import Asking
from chiasm.intervals import Verdict, student_quantile
from chiasm.report import doc
from chiasm.report.markdown import markdown
from chiasm.report.numbers import estimate, number

LIBRARY = "chiasm"

_GIVEN = {
    "view": 'Path("view.png")  # a picture like those of its data',
    "heard": 'chiasm.Sound(Path("heard.wav"), target=False)  # a sound like those of its data',
}
"""What lines of Python read, where no other line makes it."""

_UNITS_OF_OWN = ("index", "latent RMS", "velocity loss")
"""Units that depend on the model's own latents, or name no measure."""


@dataclass(frozen=True)
class CardContent:
    """What a card tells; what a folder lacks is empty."""

    name: str
    facts: Mapping[str, str]
    """Short facts about the model."""
    task: str
    """One of the hub's tasks."""
    load: str
    """What ``chiasm.load`` is given."""
    asked: Sequence[Asking] = ()
    """How it is asked by what its documents look like."""
    begun_with: str = ""
    """The model whose weights it began with."""
    tokenizers: Mapping[str, doc.Words] = field(default_factory=dict)
    """Stream → what its tokenizer is, and which library opens it."""
    recipe: str = ""
    """The settings that differ from their defaults, as TOML."""
    imports: Sequence[str] = ()
    """Modules of the user that define parts of it."""
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Source → its facts, with ``license`` and ``positions``."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The run's report.json."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    license: str = ""
    """Of the model."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Rows of the report's table."""
        return self.report.get("rows", ())


def card(content: CardContent) -> str:
    """Returns the card as Markdown."""
    made = {name: str(value) for name, value in content.versions.items() if value}
    begin = f"from the weights of {content.begun_with}" if content.begun_with else "from scratch"
    report = doc.Report(
        title=content.name,
        intro=[f"A decoder-only transformer, trained {begin} with {LIBRARY} on the data below."],
        facts=content.facts,
        sections=[
            _use(content),
            doc.Section("Tokenizers", [doc.Terms(content.tokenizers)]),
            _data(content.sources),
            _numbers(content),
            doc.Section("Limits", [doc.Terms(dict(_limits(content)))]),
            doc.Section(
                "Recipe",
                [doc.Commands(content.recipe.rstrip())],
                lead="What differs from the defaults; recipe.toml has every setting. Of paths the "
                "last part is left.",
            ),
            doc.Section("Made with", [doc.Terms(made)]),
        ],
        footer="SHA256SUMS has the hashes of all files but this one: `sha256sum -c SHA256SUMS`.",
    )
    return f"---\n{_header(content)}\n---\n\n{markdown(report)}"


def _use(content: CardContent) -> doc.Section:
    """Returns Python that loads the model and asks it: what makes a picture or a sound first."""
    asked = sorted(dict.fromkeys(content.asked), key=lambda asking: " = " not in asking.line)
    made = {asking.line.split(" = ")[0] for asking in asked}
    given = [
        f"{name} = {code}"
        for name, code in _GIVEN.items()
        if name not in made and any(re.search(rf"\b{name}\b", each.line) for each in asked)
    ]
    python = [
        *["from pathlib import Path\n"] * bool(given),
        "import chiasm",
        *(f"import {name.removesuffix('.py')}" for name in content.imports),
        f'\nmodel = chiasm.load("{content.load}")',
        *given,
        *(f"{asking.line}  # {asking.document}" for asking in asked),
    ]
    lead = "Behind each line stands the document that the model goes on with: its data look so."
    return doc.Section("Use", [doc.Commands("\n".join(python))], lead=lead if asked else "")


def _header(content: CardContent) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # slow to import

    results = [
        EvalResult(
            task_type=content.task,
            dataset_type="held-out",
            dataset_name="held-out data of the run",
            metric_type=row["unit"] or "number",
            metric_name=measure,
            metric_value=round(row["value"], 5),
        )
        for measure, row in _headlines(content.rows).items()
    ]
    data = ModelCardData(
        license=content.license or None,
        library_name=LIBRARY,
        pipeline_tag=content.task,
        tags=[LIBRARY],
        model_name=content.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _data(sources: Mapping[str, Mapping[str, Any]]) -> doc.Section:
    counts = ("documents in all", "of them held out", "positions read")
    columns = ("source", "kind", *counts, "license")
    rows = [
        (
            name,
            source.get("origin") or source["kind"],
            f"{source['documents']:,}",
            f"{source['held_out']:,}",
            f"{source['positions']:,}" if source.get("positions") else "",
            source.get("license") or "not told",
        )
        for name, source in sources.items()
    ]
    return doc.Section("Data", [doc.Table(rows, columns)])


def _numbers(content: CardContent) -> doc.Section:
    if not content.rows:
        told = "The model was not evaluated when it was exported."
        return doc.Section("Numbers", [doc.Prose(told)])
    columns = ("measure", "value", "unit", "against", "items / clusters")
    rows: list[doc.Row] = []
    for measure, own in _by_measure(content.rows).items():
        row = own[0]
        unit = f"{row['unit']} {'↑' if row['better'] == 'higher' else '↓'}"
        baselines = "; ".join(
            f"{each['baseline_name']} {number(each['baseline'], each['unit'])}: {each['verdict']}"
            for each in own
            if each["baseline"] is not None
        )
        counts = f"{row['num_items']} / {row['num_clusters']}"
        rows.append((measure, _measured(row), unit, baselines, counts))
    return doc.Section(
        "Numbers",
        [doc.Table(rows, columns)],
        lead="On held-out data. ± is one standard error, clustered, and brackets are 95 % "
        "intervals; a difference from the baseline counts when it exceeds two of its standard "
        "errors.",
    )


def _by_measure(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the rows of each measure, one for each baseline."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        section = f"{row['section']}: "
        found.setdefault(section + row["name"].removeprefix(section), []).append(row)
    return found


def _headlines(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Returns a row of each section: its first headline whose unit means the same elsewhere."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for measure, [row, *others] in _by_measure(rows).items():
        headline = any(each["headline"] for each in (row, *others))
        if headline and row["value"] is not None and row["unit"] not in _UNITS_OF_OWN:
            found.setdefault(row["section"], (measure, row))
    return dict(found.values())


def _measured(row: Mapping[str, Any]) -> doc.Words:
    """Returns a value with standard error and interval, as far as they are known."""
    value, error = (math.nan if row[n] is None else row[n] for n in ("value", "standard_error"))
    margin = math.nan
    if row["num_clusters"] > 1:
        margin = student_quantile(row["num_clusters"] - 1) * error
    low, high = value - margin, value + margin
    if row["unit"] == "share":
        low, high = max(low, 0.0), min(high, 1.0)
    return estimate(value, error, (low, high), row["unit"])


def _limits(content: CardContent) -> Iterator[tuple[str, str]]:
    """Yields what the model cannot do, as far as its folder tells."""
    base = f"and those of {content.begun_with}, with which it began" if content.begun_with else ""
    yield "what it knows", f"its data {base or 'alone'}; its outputs pass no filter"
    yield from _not_beaten(content.rows)
    skipped = content.report.get("skipped", {})
    if skipped:
        yield "not measured", "; ".join(f"{name}: {why}" for name, why in skipped.items())
    unlicensed = [name for name, source in content.sources.items() if not source.get("license")]
    if unlicensed:
        yield "data whose license is not told", ", ".join(unlicensed)
    if content.imports:
        yield "code", f"it opens where these modules are: {', '.join(content.imports)}"


def _not_beaten(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yields for each section the baselines that not all of its measures beat, with counts."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if row["baseline"] is not None:
            own = found.setdefault(row["section"], {})
            own.setdefault(row["baseline_name"], []).append(row["verdict"])
    for section, baselines in found.items():
        told = [
            f"{name!r} in {len(own) - own.count(Verdict.BEATS)} of {len(own)} measures"
            f"{f' (worse in {worse})' if (worse := own.count(Verdict.WORSE)) else ''}"
            for name, own in baselines.items()
            if own.count(Verdict.BEATS) < len(own)
        ]
        if told:
            yield section, f"does not beat {', '.join(told)}"
