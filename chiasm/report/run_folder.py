"""The files of a training run, read without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chiasm.loop.metrics import read_metrics


@dataclass(frozen=True)
class Curve:
    """One metric over the run."""

    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class RunFolder:
    """Metrics, recipe and versions of one run; a missing file is an empty field."""

    path: Path
    curves: dict[str, Curve] = field(default_factory=dict)
    """``phase/name`` (nested names joined by ``/``) → its curve, in order of first appearance."""
    recipe: str = ""
    """The resolved recipe.toml."""
    versions: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Returns the content of a run's folder."""
        recipe, versions = path / "recipe.toml", path / "versions.json"
        return cls(
            path,
            _curves(read_metrics(path / "metrics.jsonl")),
            recipe.read_text() if recipe.exists() else "",
            json.loads(versions.read_text()) if versions.exists() else {},
        )


def _curves(records: list[dict[str, Any]]) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for record in records:
        for name, value in _flat(record):
            if name not in ("step", "phase"):
                curve = curves.setdefault(f"{record['phase']}/{name}", Curve([], []))
                curve.steps.append(record["step"])
                curve.values.append(value)
    return curves


def _flat(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", number) for inner, number in _flat(value))
        elif isinstance(value, int | float):
            yield name, value
