"""Reports on disk: whole files or none, and one word for a disk that refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError
from chiasm.report.doc import Report
from chiasm.report.html import html
from chiasm.report.record import json_text


@dataclass(frozen=True)
class ReportFiles:
    """Where a report lies."""

    page: Path
    table: Path
    """The same for programs."""


def replace(path: Path, text: str) -> Path:
    """Write a file as a whole or not at all; returns its path."""
    aside = path.with_name(path.name + ".partial")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    return path


def write_page(report: Report, page: Path, indent: int | None = None) -> ReportFiles:
    """Write a report as a page and, beside it, as JSON."""
    table = replace(page.with_suffix(".json"), json_text(report.record, indent))
    return ReportFiles(replace(page, html(report)), table)


@contextmanager
def writing(what: str, folder: Path, remedy: str = "") -> Iterator[None]:
    """Where files are written: what the disk refuses is a UserError that says so."""
    try:
        yield
    except OSError as error:
        told = f"{what} cannot be written to {folder}: {error.strerror or error}"
        raise UserError(f"{told}. {remedy}" if remedy else told) from error
