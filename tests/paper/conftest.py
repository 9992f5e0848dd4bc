"""Kept results as studies and fits write them, with values that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from chiasm.paper import keep
from chiasm.studies.cell import Result
from chiasm.studies.cells import expand
from chiasm.studies.collect import Record, State, write_cells
from chiasm.studies.plan import Cost
from chiasm.studies.settings import load_study

STUDIES = Path(__file__).parents[2] / "recipes" / "studies"


@pytest.fixture
def kept_study(tmp_path: Path):
    """Keeps a shipped study whose cells have chosen values: (cell, metric) → one for each seed."""

    def make(name: str, values: Mapping[tuple[str, str], Sequence[float]]) -> Path:
        study = load_study(STUDIES / f"{name}.toml")
        records = []
        for cell in expand(study):
            own = {metric: seeds for (title, metric), seeds in values.items() if title == cell.name}
            metrics = {
                metric: {"value": seeds[cell.seed], "standard_error": 0.0, "unit": "bits per byte"}
                for metric, seeds in own.items()
            }
            versions = {"git_commit": "abc123", "machine": "a laptop", "command": "chiasm"}
            result = Result(cell.key, "", metrics, 1000, 10**9, {"t": 2.0}, "v", "t", versions)
            cost = Cost(10, 1e9, 1000.0, 500.0, 500.0, {}, 200_000, 300_000)
            state = State.FINISHED if own else State.MISSING
            records.append(Record(cell, tmp_path, state, 0, cost, result if own else None))
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_cells(study, records, folder / "cells.json")
        return keep(folder, tmp_path / "results")

    return make
