"""The card of an exported model: what it is, of which data, how good, and what it cannot do.

It is Markdown under the header that model hubs read. Numbers are those of the run's evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chiasm.intervals import Verdict, student_quantile
from chiasm.report import doc
from chiasm.report.markdown import markdown
from chiasm.report.numbers import estimate, number

LIBRARY = "chiasm"


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
    python = [
        "import chiasm",
        *(f"import {name.removesuffix('.py')}" for name in content.imports),
        f'\nmodel = chiasm.load("{content.load}")',
    ]
    begin = f"from the weights of {content.begun_with}" if content.begun_with else "from scratch"
    report = doc.Report(
        title=content.name,
        intro=[f"A decoder-only transformer, trained {begin} with {LIBRARY} on the data below."],
        facts=content.facts,
        sections=[
            doc.Section("Use", [doc.Commands("\n".join(python))]),
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
        for measure, [row, *_] in _by_measure(content.rows).items()
        if row["headline"] and row["value"] is not None
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
    columns = ("source", "kind", "documents", "held out", "positions read", "license")
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
        found.setdefault(f"{row['section']}: {row['name']}", []).append(row)
    return found


def _measured(row: Mapping[str, Any]) -> doc.Words:
    """Returns a value with standard error and interval, as far as they are known."""
    value, error = (math.nan if row[n] is None else row[n] for n in ("value", "standard_error"))
    margin = math.nan
    if row["num_clusters"] > 1:
        margin = student_quantile(row["num_clusters"] - 1) * error
    return estimate(value, error, (value - margin, value + margin), row["unit"])


def _limits(content: CardContent) -> Iterator[tuple[str, str]]:
    """Yields what the model cannot do, as far as its folder tells."""
    yield "what it knows", "its data alone; its outputs pass no filter"
    for verdict, term in (
        (Verdict.WORSE, "worse than a baseline"),
        (Verdict.NOT_SEPARATED, "not separated from a baseline"),
    ):
        rows = [row for row in content.rows if row["verdict"] == verdict]
        if rows:
            yield term, "; ".join(f"{row['name']} ({row['baseline_name']})" for row in rows)
    skipped = content.report.get("skipped", {})
    if skipped:
        yield "not measured", "; ".join(f"{name}: {why}" for name, why in skipped.items())
    unlicensed = [name for name, source in content.sources.items() if not source.get("license")]
    if unlicensed:
        yield "data whose license is not told", ", ".join(unlicensed)
    if content.imports:
        yield "code", f"it opens where these modules are: {', '.join(content.imports)}"
