"""Which reader opens a file: by its suffix, and below ``.gz`` by the one before it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from chiasm.data.arrow_tables import open_arrow
from chiasm.data.copies import unpacked
from chiasm.data.index import Index
from chiasm.data.line_tables import Csv, JsonLines, open_json
from chiasm.data.storage import url_of
from chiasm.data.table import Table
from chiasm.data.tars import Tar
from chiasm.errors import UserError

_PLACED: dict[str, Callable[[Path, Index, Path | None], Table]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": open_json,
    ".csv": Csv,
    ".tsv": partial(Csv, delimiter="\t"),
    ".tar": Tar,
}
"""Readers that find rows by their places, so that a copy can be read in place of the file."""
_TYPED = {".parquet": open_arrow, ".arrow": open_arrow}
_GZIP = ".gz"
COMPRESSED = frozenset((_GZIP, ".tgz", ".zip", ".zst", ".bz2", ".xz", ".7z", ".rar", ".lz4"))
FORMS = (
    "metadata.jsonl, .jsonl, .json, .csv, .tsv, .parquet, .arrow, .tar or .txt files (the first "
    "four and tars also as .gz)"
)


def form_of(file: Path) -> str:
    """Returns the form of a table in a file, such as ``.csv`` or ``.csv.gz``; empty: none."""
    stem, suffix = os.path.splitext(file.name.lower())
    if suffix == ".tgz":
        return f".tar{_GZIP}"
    if suffix == _GZIP:
        before = os.path.splitext(stem)[1]
        return before + suffix if before in _PLACED else ""
    return suffix if suffix in _PLACED or suffix in _TYPED else ""


def open_one(form: str, file: Path, index: Index) -> Table:
    """Returns the table in a file of this form.

    Raises:
        UserError: it is damaged, or NoTable: it holds none.
    """
    if (url := url_of(file)) and form != ".tar":
        raise UserError(f"{url} is no tar: other files are read from this machine's disks alone")
    if form in _TYPED:
        return _TYPED[form](file, index)
    if form.endswith(_GZIP):
        return _PLACED[form.removesuffix(_GZIP)](file, index, unpacked(file, index))
    return _PLACED[form](file, index, None)
