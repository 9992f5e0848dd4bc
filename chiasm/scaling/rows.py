"""The rows of a CSV file, as text under the names of its header."""

from __future__ import annotations

import csv
from pathlib import Path

from chiasm.errors import UserError


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file whose comment lines begin with ``#``; at least one.

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
