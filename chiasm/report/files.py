"""Reports on disk: a page with its JSON, and one message for errors of the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError
from chiasm.report.doc import Report
from chiasm.report.html import html
from chiasm.report.record import json_text
from chiasm.whole import write_whole


@dataclass(frozen=True)
class ReportFiles:
    """The files of a report."""

    page: Path
    table: Path
    """The numbers, for programs."""


def write_page(report: Report, page: Path, indent: int | None = 1) -> ReportFiles:
    """Writes a report as a page and, beside it, as JSON."""
    files = ReportFiles(page, page.with_suffix(".json"))
    write_whole(files.page, html(report))
    write_whole(files.table, json_text(report.record, indent))
    return files


@contextmanager
def writing(what: str, folder: Path, remedy: str = "") -> Iterator[None]:
    """Turns an OSError raised while files are written into a UserError."""
    try:
        yield
    except OSError as error:
        told = f"{what} cannot be written to {folder}: {error.strerror or error}"
        raise UserError(f"{told}. {remedy}" if remedy else told) from error
