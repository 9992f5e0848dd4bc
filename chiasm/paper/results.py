"""Results kept in the repository: small files with machine, commit and versions.

A folder per result, by the study's or the fit's name:

    cells.json   what chiasm study collect wrote: every cell and seed, with its versions
    report.md    the study's comparison, with study.svg
    points.csv   of IsoFLOP studies: the table that the law was fitted on
    laws.json    the numbers of a fit, without its resamples
    fit.md       the fit, with optima.svg and isoflop.svg
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.paper.laws import LawNumber, law_numbers
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.record import read_fit
from chiasm.studies.collect import State
from chiasm.whole import write_json

STUDY_FILES = ("cells.json", "points.csv", "report.md", "study.svg")
FIT_FILES = ("fit.md", "isoflop.svg", "optima.svg")


@dataclass(frozen=True)
class CellResult:
    """One finished cell with one seed."""

    cell: str
    seed: int
    values: Mapping[str, float]
    """Values by metric."""
    units: Mapping[str, str]
    tokens: int
    flops: float
    active_parameters: int | None
    """None if the plan that counted them was not kept."""
    seconds: float
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """A study, a fit, or a study and the fit on its points."""

    cells: tuple[CellResult, ...] = ()
    laws: tuple[LawNumber, ...] = ()
    flags: tuple[str, ...] = ()
    """Warnings of the fit."""

    def values(self, cell: str, metric: str) -> dict[int, float]:
        """Returns the values of a metric by seed."""
        own = [each for each in self.cells if each.cell == cell and metric in each.values]
        return {each.seed: each.values[metric] for each in own}

    def unit(self, metric: str) -> str:
        """Returns a metric's unit; empty if it has none."""
        return next((each.units[metric] for each in self.cells if metric in each.units), "")

    def made_with(self, name: str) -> list[str]:
        """Returns the distinct values of a version, such as git_commit or machine."""
        return list(dict.fromkeys(str(each.versions.get(name, "")) for each in self.cells))


def read_results(folder: Path) -> dict[str, Result]:
    """Returns every kept result by name; none if the folder is missing.

    Raises:
        UserError: a file differs from what :func:`keep` writes.
    """
    if not folder.is_dir():
        return {}
    return {own.name: _read(own) for own in sorted(folder.iterdir()) if own.is_dir()}


def refit(name: str) -> Result:
    """Returns a refit of the paper's own optima: ``paper-dense`` or ``paper-moe``."""
    return Result(laws=tuple(law_numbers(fit_optima(paper_optima(name), source=name))))


def keep(folder: Path, results: Path) -> Path:
    """Copies the results of a study's or a fit's folder; returns the result's folder.

    Raises:
        UserError: there is neither a cells.json nor a fit.json, or one cannot be read.
    """
    cells, fit = folder / "cells.json", folder / "fit.json"
    if not cells.exists() and not fit.exists():
        raise UserError(
            f"{folder} has neither cells.json nor fit.json; run chiasm study collect, or chiasm "
            "scaling fit, first"
        )
    name = _content(cells)["study"] if cells.exists() else folder.resolve().name
    kept = results / name
    kept.mkdir(parents=True, exist_ok=True)
    for file in (*STUDY_FILES, *FIT_FILES):
        if (folder / file).exists():
            shutil.copyfile(folder / file, kept / file)
    if fit.exists():
        read = read_fit(fit)
        content = {
            "source": read.source,
            "flags": [str(flag) for flag in read.flags],
            "numbers": [number.to_json() for number in law_numbers(read)],
        }
        write_json(kept / "laws.json", content)
    _read(kept)
    return kept


def scale(cells: Sequence[CellResult]) -> str:
    """Returns the size of cells in words: parameters, tokens, FLOPs, seeds; empty for none."""
    if not cells:
        return ""
    counted = [cell.active_parameters for cell in cells if cell.active_parameters is not None]
    num_seeds = len({cell.seed for cell in cells})
    parts = [
        f"{_range(counted, _short)} active parameters" if counted else "",
        f"{_range([cell.tokens for cell in cells], _short)} tokens",
        f"{_range([cell.flops for cell in cells], _scientific)} FLOPs",
        f"{num_seeds} seed{'s' if num_seeds > 1 else ''}",
    ]
    return "; ".join(filter(None, parts))


def _range(values: Sequence[float], told: Callable[[float], str]) -> str:
    low, high = told(min(values)), told(max(values))
    return low if low == high else f"{low} to {high}"


def _short(value: float) -> str:
    """Returns a count in three digits, such as 54.3 k or 1.58 M."""
    for letter, unit in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= unit:
            return f"{value / unit:.3g} {letter}"
    return f"{value:.0f}"


def _scientific(value: float) -> str:
    return f"{value:.2e}".replace("e+", "e")


def _read(folder: Path) -> Result:
    cells, laws = folder / "cells.json", folder / "laws.json"
    entries = _content(cells)["cells"] if cells.exists() else []
    fitted = _content(laws) if laws.exists() else {"numbers": [], "flags": []}
    try:
        return Result(
            tuple(_cell(entry) for entry in entries if entry["state"] == State.FINISHED),
            tuple(LawNumber.from_json(number) for number in fitted["numbers"]),
            tuple(fitted["flags"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder} is no kept result ({error!r}); write it again with chiasm report keep"
        ) from error


def _cell(entry: Mapping[str, Any]) -> CellResult:
    metrics, planned = entry["metrics"], entry["planned"]
    return CellResult(
        cell=entry["cell"],
        seed=entry["seed"],
        values={name: float(metric["value"]) for name, metric in metrics.items()},
        units={name: metric["unit"] for name, metric in metrics.items()},
        tokens=entry["tokens"],
        flops=entry["flops"],
        active_parameters=planned["active_parameters"] if planned else None,
        seconds=sum(entry["seconds"].values()),
        versions=entry["versions"],
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; write it again") from error
    return content
