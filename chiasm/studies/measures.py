"""The metrics of one trained cell: from held-out documents, its validation, or its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.batch.streams import IMAGE
from chiasm.data.tokenizer import TextTokenizer
from chiasm.errors import UserError
from chiasm.evaluation.material import Items
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.scoring import lossless, score_flow, score_text
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.flow import FLOW_TIMES
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.studies.settings import MetricSettings


@dataclass(frozen=True)
class Value:
    """A metric of one run."""

    value: float
    standard_error: float | None
    """Standard error over held-out documents, clustered by map; None where the origin has none."""
    unit: str


def measure(
    metrics: Sequence[MetricSettings],
    pretrained: Pretrained,
    held_out: Mapping[str, Items],
    run: Path,
    settings: EvaluationSettings,
) -> dict[str, Value]:
    """Returns every metric of a trained run, by name.

    Args:
        metrics: of the study.
        pretrained: the run's model.
        held_out: documents of held-out metrics.
        run: the run's folder; for metrics of the report, with report.json in it.
        settings: seed and noise levels of held-out metrics.

    Raises:
        UserError: a metric that the run does not have (the message lists those it has), or whose
            value is not a number.
    """
    values = {}
    for metric in metrics:
        if metric.held_out:
            found = _held_out(metric, pretrained, held_out[metric.held_out], settings)
        elif metric.validation:
            found = _validation(metric, run)
        else:
            found = _report(metric, run)
        if not math.isfinite(found.value):
            raise UserError(
                f"metric {metric.name!r} is {found.value}: the run diverged or measured nothing; "
                f"look at {run / 'metrics.jsonl'}"
            )
        values[metric.name] = found
    return values


def refuse_lossy(
    metrics: Sequence[MetricSettings], held_out: Mapping[str, Items], tokenizer: TextTokenizer
) -> None:
    """Refuses bits per byte of text that a tokenizer does not restore.

    Cells are compared with each other, so none may leave out documents that others are measured on.

    Raises:
        UserError: a document of a metric is not restored from its tokens.
    """
    for metric in metrics:
        if metric.held_out and metric.loss == "text":
            _, lost = lossless(held_out[metric.held_out], tokenizer, f"held_out.{metric.held_out}")
            if lost:
                raise UserError(f"metric {metric.name!r}: {lost}")


def _held_out(
    metric: MetricSettings, pretrained: Pretrained, items: Items, settings: EvaluationSettings
) -> Value:
    row = (_text_row if metric.loss == "text" else _flow_row)(metric, pretrained, items, settings)
    error = row.standard_error
    return Value(row.value, error if math.isfinite(error) else None, row.unit)


def _text_row(
    metric: MetricSettings, pretrained: Pretrained, items: Items, settings: EvaluationSettings
) -> Row:
    score = score_text(items.documents, pretrained, settings.seed)
    num_bytes = [float(len(document.text.encode())) for document in items.documents]
    measurement = Measurement(
        "text", "bits/byte", "lower", settings.seed, items.clusters, np.array(num_bytes)
    )
    return measurement.row(metric.name, score.nats / math.log(2))


def _flow_row(
    metric: MetricSettings, pretrained: Pretrained, items: Items, settings: EvaluationSettings
) -> Row:
    items = items.with_targets(IMAGE)
    if not items.documents:
        raise UserError(
            'has no pictures to draw; give loss = "text", or a source with target pictures',
            setting=f"held_out.{metric.held_out}",
        ).at(f"metric {metric.name!r}")
    sums, tokens = score_flow(items.documents, pretrained, FLOW_TIMES, settings.seed)
    measurement = Measurement(
        "flow loss", "velocity loss", "lower", settings.seed, items.clusters, tokens
    )
    return measurement.row(metric.name, sums.mean(0))


def _validation(metric: MetricSettings, run: Path) -> Value:
    lines = [line for line in read_metrics(run / "metrics.jsonl") if line["phase"] == "validation"]
    last: dict[str, Any] = lines[-1] if lines else {}
    known = sorted(set(last) - {"step", "phase"})
    if metric.validation not in last:
        raise UserError(
            f"metric {metric.name!r}: the run's last validation has no {metric.validation!r}; it "
            f"has {', '.join(known) or 'nothing (training.validation_batches = 0)'}. With too few "
            "training.validation_batches no row holds what is to be measured: raise it"
        )
    value = last[metric.validation]
    unit = "nats/token" if metric.validation.startswith("text_loss") else "loss"
    return Value(math.nan if value is None else value, None, unit)


def _report(metric: MetricSettings, run: Path) -> Value:
    rows = json.loads((run / "report.json").read_text())["rows"]
    row = next((row for row in rows if row["name"] == metric.report), None)
    if row is None:
        names = list(dict.fromkeys(row["name"] for row in rows))
        longer = [name for name in names if name.startswith(f"{metric.report}, ")]
        raise UserError(
            f"metric {metric.name!r}: report.json has no row {metric.report!r}; "
            + ("it names the source, of several: choose one of " if longer else "it has ")
            + ", ".join(map(repr, longer or names))
        )
    value = math.nan if row["value"] is None else row["value"]
    return Value(value, row["standard_error"], row["unit"])
