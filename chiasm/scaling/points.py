"""A table of points: each trained model's size, cost and loss on held-out data.

One row is one run. A table is a CSV with a header; these columns are read:

==================  =============================================================================
active_parameters   N: parameters that one token uses
tokens              D: positions read in training, of all modalities together
flops               C: what the run used; ``budget_flops`` alone is taken for it. Where one of the
                    three columns is absent, C = 6·N·D gives it
loss_<modality>     held-out loss, one column per modality (``loss_text``, ``loss_vision``, ...)
budget_flops        the budget that the run belongs to; without it :mod:`chiasm.scaling.budgets`
                    looks for budgets in the FLOPs
cell, seed          a name for the shape and budget, and which repetition the run is
flops_per_token     what a position costs by the shape's own modules; ``flops`` must agree with it
state               of a run that is not finished: why there is no loss
total_parameters, text_tokens, vision_tokens, validation, tokenizer   optional
==================  =============================================================================

``validation`` and ``tokenizer`` are fingerprints: losses on different held-out sets, or in
different units, are never fitted together.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from chiasm.errors import UserError

LOSS = "loss_"

SIXFOLD = {
    "active_parameters": "N = C / (6·D)",
    "tokens": "D = C / (6·N)",
    "flops": "C = 6·N·D",
}
"""Equation that gives the one of the three columns that a table lacks."""


@dataclass(frozen=True)
class Point:
    """One run of a table."""

    cell: str
    flops: float
    """FLOPs used, forward and backward."""
    active_parameters: float
    tokens: float
    """Positions of all modalities."""
    losses: Mapping[str, float]
    """Held-out loss by modality."""
    budget_flops: float | None = None
    total_parameters: float | None = None
    text_tokens: float | None = None
    vision_tokens: float | None = None
    flops_per_token: float | None = None
    """Counted by the shape's own modules before the run."""
    seed: int = 0
    validation: str = ""
    tokenizer: str = ""
    state: str = ""
    """State of an unfinished run; empty: finished."""


NUMBERS = (
    *("active_parameters", "tokens", "flops", "budget_flops"),
    *("total_parameters", "text_tokens", "vision_tokens", "flops_per_token"),
)
NAMES = tuple(field.name for field in fields(Point) if field.name != "losses")


@dataclass(frozen=True)
class PointTable:
    """A table that was read."""

    points: tuple[Point, ...]
    derived: str = ""
    """Name of the column that :data:`SIXFOLD` replaces; empty where all are there."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file whose comment lines begin with ``#``; at least one.

    Raises:
        UserError: missing, unreadable or empty; a row longer or shorter than the header; a header
            that names a column twice or is not separated by commas.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        header, *rows = [row for row in csv.reader(lines) if row] or [[]]
    except FileNotFoundError as error:
        raise UserError(
            f"table {path} cannot be read: there is no such file; chiasm study collect writes a "
            "study's points.csv, and paper-dense and paper-moe are the paper's optima"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"table {path} cannot be read: {error}") from error
    if not rows:
        raise UserError(f"table {path} has no rows; it needs a header and one row per run")
    other = next((mark for mark in ";\t" if len(header) == 1 and mark in header[0]), "")
    if other:
        name = {";": "semicolons", "\t": "tabs"}[other]
        raise UserError(f"table {path} is separated by {name}; write it with commas")
    header = [name.strip() for name in header]
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise UserError(f"table {path} names the column {twice[0]!r} twice; keep one")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise UserError(
                f"table {path}, row {number} has {len(row)} values and the header {len(header)} "
                "names; give it one for each"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_points(path: Path, columns: Mapping[str, str] | None = None) -> PointTable:
    """Returns a table of points; :mod:`chiasm.scaling.checks` decides whether it can be fitted.

    Args:
        path: a CSV file; lines that begin with ``#`` are comments.
        columns: name of a column here → its name in the file, where they differ.

    Raises:
        UserError: unreadable, or a column or number missing.
    """
    rows = read_rows(path)
    names = {name: name for name in rows[0]} | dict(columns or {})
    _check_columns(path, columns or {}, rows[0])
    lacking = [name for name in SIXFOLD if name not in names]
    if "budget_flops" in names:
        lacking = [name for name in lacking if name != "flops"]
    needed = lacking if len(lacking) > 1 else []
    modalities = [name.removeprefix(LOSS) for name in names if name.startswith(LOSS)]
    if not modalities:
        needed.append("loss_<modality>, such as loss_text")
    if needed:
        raise UserError(
            f"{path} has no column {' or '.join(needed)}; it has {', '.join(rows[0])}. Name one "
            'with --column, as in --column "active_parameters=Model Size"'
        )
    derived = "".join(lacking)
    points = (
        _point(path, number, row, names, modalities, derived) for number, row in enumerate(rows, 1)
    )
    return PointTable(tuple(points), derived)


def leave_out(points: Sequence[Point], cells: Sequence[str]) -> list[Point]:
    """Returns the points without those of the named cells; all seeds of a cell go together.

    Raises:
        UserError: a cell that is not there, or nothing is left.
    """
    there = list(dict.fromkeys(point.cell for point in points))
    for cell in cells:
        if cell not in there:
            near = get_close_matches(cell, there, n=1, cutoff=0)
            raise UserError(
                f"--leave-out {cell}: the table has no such cell; it has {len(there)}, from "
                f"{there[0]} to {there[-1]}, and the nearest name is {near[0]}"
            )
    kept = [point for point in points if point.cell not in cells]
    if not kept:
        raise UserError("--leave-out names every cell of the table; leave some in")
    return kept


def write_points(points: Sequence[Point], path: Path) -> None:
    """Writes a table that :func:`read_points` reads back to equal points."""
    modalities = list(dict.fromkeys(name for point in points for name in point.losses))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES, *(LOSS + modality for modality in modalities)])
        for point in points:
            values = [getattr(point, name) for name in NAMES]
            told = (point.losses.get(modality, math.nan) for modality in modalities)
            losses = [None if math.isnan(loss) else loss for loss in told]
            writer.writerow(["" if value is None else value for value in (*values, *losses)])


def _point(
    path: Path,
    number: int,
    row: Mapping[str, str],
    names: Mapping[str, str],
    modalities: Sequence[str],
    derived: str,
) -> Point:
    def cell_value(name: str) -> str:
        return (row.get(names.get(name, ""), "") or "").strip()

    def amount(name: str) -> float | None:
        text = cell_value(name)
        if not text:
            return None
        value = _number(path, number, names[name], text)
        if not (math.isfinite(value) and value > 0) and not name.endswith("_tokens"):
            raise UserError(f"{path}, row {number}: {names[name]} = {text}; it must be above 0")
        return value

    values = {name: amount(name) for name in NUMBERS}
    cost = {name: values[name] for name in SIXFOLD}
    cost["flops"] = cost["flops"] or values["budget_flops"]
    empty = [name for name, value in cost.items() if not value and name != derived]
    if empty:
        told = " and ".join(names.get(name, name) for name in empty)
        raise UserError(f"{path}, row {number}: {told} is empty; fill it in or take the row out")
    size, tokens, flops = (value or 0.0 for value in cost.values())
    return Point(
        cell=cell_value("cell") or f"row {number}",
        flops=flops or 6 * size * tokens,
        active_parameters=size or flops / (6 * tokens),
        tokens=tokens or flops / (6 * size),
        losses={
            name: _number(path, number, names[LOSS + name], cell_value(LOSS + name) or "nan")
            for name in modalities
        },
        budget_flops=values["budget_flops"],
        total_parameters=values["total_parameters"],
        text_tokens=values["text_tokens"],
        vision_tokens=values["vision_tokens"],
        flops_per_token=values["flops_per_token"],
        seed=_seed(path, number, cell_value("seed") or "0"),
        validation=cell_value("validation"),
        tokenizer=cell_value("tokenizer"),
        state=cell_value("state"),
    )


def _check_columns(path: Path, columns: Mapping[str, str], header: Mapping[str, str]) -> None:
    for name, given in columns.items():
        if name not in NAMES and not name.startswith(LOSS):
            near = get_close_matches(name, [*NAMES, "loss_text", "loss_vision"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(NAMES)}"
            raise UserError(f"--column {name}={given}: no column is called {name} here{hint}")
        if given not in header:
            raise UserError(f"{path} has no column {given!r}; it has {', '.join(header)}")


def _seed(path: Path, row: int, text: str) -> int:
    value = _number(path, row, "seed", text)
    if not value.is_integer():
        raise UserError(f"{path}, row {row}: seed = {text}; it must be a whole number")
    return int(value)


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{path}, row {row}: {column} = {text!r} is not a number") from error
