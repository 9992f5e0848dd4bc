"""Files of LeRobot data sets: JSON, JSON lines and parquet, with errors that name them."""

from __future__ import annotations

import json
import math
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
    try:
        return pa.parquet.ParquetFile(file).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet ({first_line(error)})") from error


def parquet_columns(file: Path) -> list[str]:
    """Returns the names of the columns of a parquet file.

    Raises:
        UserError: it is missing or damaged.
    """
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
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is no JSON ({error}); fetch or write it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no JSON object; fetch or write it again")
    return found


def read_json_lines(file: Path) -> list[dict[str, Any]]:
    """Returns the objects in the lines of a file.

    Raises:
        UserError: it is missing, or a line is no JSON.
    """
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); fetch or write it again") from error


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)
