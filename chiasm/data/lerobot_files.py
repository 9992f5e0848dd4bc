"""Files of LeRobot data sets: JSON, JSON lines and parquet, with errors that name them.

Whatever else a file holds than it should is an error, or is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.parquet

from chiasm.errors import UserError, first_line


def read_parquet(file: Path, columns: list[str]) -> pa.Table:
    """Returns some columns of a parquet file.

    Raises:
        UserError: it is missing or damaged.
    """
    _refuse_absent(file)
    try:
        return pa.parquet.ParquetFile(file).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet ({first_line(error)})") from error


def parquet_columns(file: Path) -> list[str]:
    """Returns the names of the columns of a parquet file.

    Raises:
        UserError: it is missing or damaged.
    """
    _refuse_absent(file)
    try:
        names: list[str] = pa.parquet.read_schema(file).names
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet ({first_line(error)})") from error
    return names


def read_json(file: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        UserError: it is missing, no JSON, or no object.
    """
    _refuse_absent(file)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is no JSON ({error}); fetch or write it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no JSON object; fetch or write it again")
    return found


def read_json_lines(file: Path) -> list[dict[str, Any]]:
    """Returns the objects in the lines of a file.

    Raises:
        UserError: it is missing, or a line is no JSON object.
    """
    _refuse_absent(file)
    try:
        found = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}); fetch or write it again") from error
    for number, row in enumerate(found):
        if not isinstance(row, dict):
            raise UserError(f"{file}: entry {number} is no JSON object; fetch or write it again")
    return found


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether a value is a finite number, and no larger than an integer of 64 bits."""
    return isinstance(value, int | float) and abs(value) < 2**63


def mapped(value: Any) -> Mapping[str, Any]:
    """Returns an object of JSON; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _refuse_absent(file: Path) -> None:
    """Raises a UserError where there is no file: a pipe would be waited for."""
    if not os.path.isfile(file):
        raise UserError(f"{file} is missing; fetch or write it again")
