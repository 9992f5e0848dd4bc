"""Flow loss of held-out items at fixed noise levels."""

from __future__ import annotations

import numpy as np

from chiasm.batch.streams import IMAGE
from chiasm.evaluation.evaluation import FlowPoint
from chiasm.evaluation.material import Items, Material, pick
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.scoring import score_flow
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained

SECTION = "flow loss"
BASELINE = "best linear guess"


def linear_guess(time: float) -> float:
    """Least velocity loss of a linear function of z_t when z is white noise itself.

    v = z - ε and z_t = (1 - t)·ε + t·z give Var(v | z_t) = 2 - (2t - 1)² / (t² + (1 - t)²), which
    is 1 / (t² + (1 - t)²).
    """
    return 1 / (time**2 + (1 - time) ** 2)


def measure_flow(
    pretrained: Pretrained, material: Material, settings: EvaluationSettings
) -> tuple[list[Row], list[FlowPoint]]:
    """One row for each source with targets of a stream (mean over the levels), and its curve."""
    rows, points = [], []
    for name, source in material.held_out.items():
        # Twice as many are asked for, since half of some sources' items are only context.
        picked = pick(source, 2 * settings.flow_documents, material.log)
        for stream in pretrained.tokenizers.streams.generated:
            items = picked.with_targets(stream)
            if not items.documents:
                continue
            row, curve = _source(name, stream, items, pretrained, settings)
            rows.append(row)
            points += curve
    return rows, points


def _source(
    name: str, stream: str, items: Items, pretrained: Pretrained, settings: EvaluationSettings
) -> tuple[Row, list[FlowPoint]]:
    times = settings.flow_times
    sums, tokens = score_flow(items.documents, pretrained, times, settings.seed, stream)
    name = name if stream == IMAGE else f"{name} ({stream})"
    measure = Measurement(SECTION, "velocity loss", "lower", settings.seed, items.clusters, tokens)
    points = [
        FlowPoint(
            name,
            time,
            measure.row(f"{name} at t = {time}", loss, linear_guess(time) * tokens, BASELINE),
        )
        for time, loss in zip(times, sums, strict=True)
    ]
    guess = float(np.mean([linear_guess(time) for time in times]))
    label = f"{name}, mean over t = {', '.join(f'{time:g}' for time in times)}"
    return measure.row(label, sums.mean(0), guess * tokens, BASELINE), points
