"""report.json: the report's table for programs."""

from __future__ import annotations

import math
from dataclasses import asdict

from chiasm.evaluation.evaluation import Evaluation
from chiasm.evaluation.rows import Row


def row_record(row: Row) -> dict:
    """One row with its verdict; a number that is not finite becomes null, as JSON needs it."""
    record = {**asdict(row), "verdict": str(row.verdict)}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def report_record(evaluation: Evaluation, command: str, versions: dict) -> dict:
    """The whole of report.json."""
    return {
        "rows": [row_record(row) for row in evaluation.rows],
        "flow_loss_by_noise": [
            {"source": point.source, "flow_time": point.flow_time, **row_record(point.row)}
            for point in evaluation.flow_points
        ],
        "rollout_by_horizon": [
            {
                "source": point.source,
                "measure": point.measure,
                "frames_ahead": point.frames_ahead,
                **row_record(point.row),
            }
            for point in evaluation.horizon_points
        ],
        "skipped": evaluation.skipped,
        "passed_over": {name: asdict(found) for name, found in evaluation.passed_over.items()},
        "seconds": evaluation.seconds,
        "settings": evaluation.settings.model_dump(mode="json"),
        "command": command,
        "versions": versions,
    }
