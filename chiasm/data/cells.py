"""Cells of a table as words or as a picture.

Text is read as it stands in the file. Typed cells, as in parquet files, have no characters:
numbers are formatted as by Python's ``str``, booleans as ``true`` and ``false``, dates in ISO 8601
with a blank before the time. NaN counts as missing, there and unquoted in JSON.
"""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.media import IMAGE, Medium
from chiasm.data.reading import Unusable
from chiasm.errors import UserError


def texts(value: Any, column: str) -> tuple[str, ...]:
    """Returns the texts of a cell: none, one, or all of a list.

    Raises:
        Unusable: a dictionary, a list of such, or bytes that are no UTF-8.
        UserError: something that is no text at all.
    """
    if isinstance(value, str):  # nearly all
        return (value,)
    found = []
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += reversed(part)  # lists of files may be nested deeper than Python's calls
        elif (text := _text(part, column)) is not None:
            found.append(text)
    return tuple(found)


def _text(value: Any, column: str) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | decimal.Decimal() | np.floating():
            return None if value != value else str(value)
        case datetime.datetime():
            return value.isoformat(sep=" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise Unusable(f"{column} is no UTF-8") from error
        case dict() | tuple():  # pairs are those of Arrow's maps
            keys = value if isinstance(value, dict) else value[:1]
            of = ", ".join(map(str, keys))
            told = f"column {column!r} holds dictionaries (of {of:.200})"
            example = next((f", as {column}.{key!s:.100}" for key in keys), "")
            raise Unusable(f"a dictionary in {column}", f"{told}; name one of its entries{example}")
    raise UserError(f"column {column!r} holds {type(value).__name__}, which is no text")


def file_or_bytes(
    value: Any, folder: Path, column: str, medium: Medium = IMAGE
) -> Path | bytes | None:
    """Returns the content of a cell of pictures or another medium: a path, bytes, or None.

    Raises:
        UserError: several of them, a web address, or something else.
    """
    if isinstance(value, list):
        if len(value) > 1:
            raise UserError(
                f"column {column!r} holds {len(value)} {medium.nouns} in one row; write a row for "
                "each"
            )
        value = value[0] if value else None
    if isinstance(value, dict):  # as the datasets library writes them
        value = value.get("bytes") or value.get("path")
    match value:
        case None | "" | b"":
            return None
        case bytes() | Path():
            return value
        case str():
            if value.startswith(("http://", "https://")):
                raise UserError(
                    f"column {column!r} holds web addresses; fetch the {medium.nouns} first and "
                    "write their paths"
                )
            return folder / value
    raise UserError(
        f"column {column!r} holds {type(value).__name__}; give paths or the bytes of files"
    )
