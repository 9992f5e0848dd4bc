"""The results of a study so far: every cell and seed with its state, metrics and counts."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.scaling.points import LOSS, Point
from chiasm.studies.cell import Order, Result
from chiasm.studies.cells import Cell, expand
from chiasm.studies.data import DataFingerprints
from chiasm.studies.plan import Cost, read_costs
from chiasm.studies.planned import cell_folder
from chiasm.studies.runner import failure
from chiasm.studies.settings import StudySettings
from chiasm.whole import write_json

COMPARED_VERSIONS = ("chiasm", "git_commit", "torch", "numpy", "machine", "threads")
"""Versions that are shown where the results of a study differ in them."""


TAIL_BYTES = 1 << 14
"""Bytes at the end of a log that are sure to hold a whole line of metrics."""


class State(StrEnum):
    """State of a cell."""

    FINISHED = "finished"
    OUTDATED = "to be measured again"
    """Trained, but measured otherwise than the study asks for now."""
    RUNNING = "running"
    FAILED = "failed"
    BEGUN = "begun"
    """It has a checkpoint or part of one, and no process works on it."""
    MISSING = "missing"


@dataclass(frozen=True)
class Record:
    """One cell with one seed."""

    cell: Cell
    folder: Path
    state: State
    step: int
    """Last logged step."""
    cost: Cost | None
    """Planned cost; None before the first plan."""
    result: Result | None
    """None until the cell is finished, and while the study asks for other measures."""
    error: str = ""

    def metric(self, name: str) -> float | None:
        """Returns a metric's value; None where the cell has none yet."""
        found = self.result.metrics.get(name) if self.result is not None else None
        return None if found is None else float(found["value"])


def collect(study: StudySettings, folder: Path) -> list[Record]:
    """Returns a record of every cell and seed of the study, in its order.

    Raises:
        UserError: cells that are no valid recipes.
    """
    costs = read_costs(folder)
    return [
        _record(study, folder, cell, costs.get(cell.key))
        for cell in expand(study, DataFingerprints(folder, as_planned=True))
    ]


def write_cells(study: StudySettings, records: Sequence[Record], path: Path) -> None:
    """Writes cells.json: one entry for each cell and seed, with everything that is known of it."""
    write_json(
        path,
        {
            "study": study.name,
            "question": study.question,
            "cells": [_entry(record) for record in records],
            "versions_differ": version_differences(records),
        },
    )


def is_isoflop(study: StudySettings) -> bool:
    """Returns whether the study's cells have budgets, so that they are points of a scaling law."""
    return any(cell.budget_flops is not None for cell in study.cells)


def points(study: StudySettings, records: Sequence[Record]) -> list[Point]:
    """Returns the points of an IsoFLOP study, one for each cell and seed.

    An unfinished cell is included with its state and without a loss, so that no fit misses it
    unnoticed; its counts are those of the plan.

    Raises:
        UserError: no metric is named ``loss_<modality>``, or nothing is finished.
    """
    names = [metric.name for metric in study.metrics if metric.name.startswith(LOSS)]
    if not names:
        raise UserError(
            f"no metric of the study is named {LOSS}<modality>, such as loss_text; a scaling law "
            "needs one"
        )
    known = next((record.result for record in records if record.result is not None), None)
    if known is None:
        raise UserError("no cell is finished, so that there are no points yet: chiasm study run")
    return [_point(record, names, known) for record in records]


def last_step(folder: Path) -> int:
    """Returns the last step that the run in a cell's folder has logged; 0 before the first."""
    try:
        with (folder / "run" / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            whole_lines = file.read().split(b"\n")[:-1]
    except OSError:
        return 0
    return int(json.loads(whole_lines[-1])["step"]) if whole_lines else 0


def version_differences(records: Sequence[Record]) -> dict[str, list[str]]:
    """Returns versions, machines and threads that differ between results, with all values."""
    results = [record.result for record in records if record.result is not None]
    found = {
        name: sorted({str(result.versions.get(name)) for result in results})
        for name in COMPARED_VERSIONS
    }
    for name in ("validation", "tokenizer"):
        found[name] = sorted({getattr(result, name) for result in results})
    return {name: values for name, values in found.items() if len(values) > 1}


def _record(study: StudySettings, folder: Path, cell: Cell, cost: Cost | None) -> Record:
    own = cell_folder(folder, cell.key)
    asked = Order.of(study, cell, Path()).measures_key
    result, failed = Result.read(own), failure(own, asked)
    step = last_step(own)
    if result is not None:
        state = State.FINISHED if result.measures_key == asked else State.OUTDATED
    elif _is_worked_on(own):
        state = State.RUNNING
    elif failed is not None:
        state = State.FAILED
    else:
        state = State.BEGUN if step else State.MISSING
    error = failed["error"] if failed is not None and state is State.FAILED else ""
    # Measures that were taken otherwise are not mixed with those that the study asks for now.
    return Record(cell, own, state, step, cost, result if state is State.FINISHED else None, error)


def _is_worked_on(folder: Path) -> bool:
    try:
        # A shared lock: it probes for the exclusive one, and probes do not hinder each other.
        with (folder / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never begun
        return False
    return False


def _entry(record: Record) -> dict[str, Any]:
    result = record.result
    return {
        "cell": record.cell.name,
        "seed": record.cell.seed,
        "hash": record.cell.key,
        "state": str(record.state),
        "error": record.error,
        "budget_flops": record.cell.budget_flops,
        "planned": asdict(record.cost) if record.cost is not None else None,
        "metrics": dict(result.metrics) if result is not None else {},
        "tokens": result.tokens if result is not None else None,
        "flops": result.flops if result is not None else None,
        "seconds": dict(result.seconds) if result is not None else None,
        "validation": result.validation if result is not None else None,
        "tokenizer": result.tokenizer if result is not None else None,
        "versions": dict(result.versions) if result is not None else None,
    }


def _point(record: Record, names: Sequence[str], known: Result) -> Point:
    """Returns a record's point; ``known``, any finished result, lends its fingerprints."""
    cost, result = record.cost, record.result
    if cost is None:
        raise UserError(
            f"the plan that counted cell {record.cell.title} is missing: run chiasm study plan"
        )
    # The plan counted the first batches only; what was read is known of finished cells.
    read = 1.0 if result is None else result.tokens / cost.tokens
    values = [record.metric(name) for name in names]
    return Point(
        cell=record.cell.name,
        flops=cost.flops if result is None else result.flops,
        active_parameters=cost.active_parameters,
        tokens=cost.tokens if result is None else result.tokens,
        losses={
            name.removeprefix(LOSS): math.nan if value is None else value
            for name, value in zip(names, values, strict=True)
        },
        budget_flops=record.cell.budget_flops,
        total_parameters=cost.total_parameters,
        text_tokens=round(read * cost.text_tokens),
        vision_tokens=round(read * cost.vision_tokens),
        flops_per_token=cost.flops / cost.tokens,
        seed=record.cell.seed,
        validation=(result or known).validation,
        tokenizer=(result or known).tokenizer,
        state="" if result is not None else str(record.state),
    )
