"""Write the report into the run folder: the page, the table, and the overview picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Evaluation
from chiasm.report.overview import write_overview
from chiasm.report.page import Provenance, render_page
from chiasm.report.run_folder import RunFolder
from chiasm.report.table import report_record
from chiasm.whole import write_whole


@dataclass(frozen=True)
class ReportFiles:
    """Where the report lies."""

    page: Path
    table: Path
    overview: Path | None
    """None when there was nothing to show."""


def write_report(run_folder: Path, evaluation: Evaluation, provenance: Provenance) -> ReportFiles:
    """Write report.html, report.json and overview.png.

    An earlier report of the same settings and numbers is replaced; any other is kept, as
    report-1.html, report-1.json and overview-1.png, or with the next number that is free.

    Raises:
        UserError: when the folder cannot be written.
    """
    run = RunFolder.read(run_folder)
    record = report_record(evaluation, provenance.command, run.versions)
    page, table = run_folder / "report.html", run_folder / "report.json"
    overview = run_folder / "overview.png"
    html = render_page(evaluation, run, provenance)
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    try:
        run_folder.stat()  # a run that is not there is not made
        if table.exists() and not _tell_the_same(table.read_text(), text):
            _keep(run_folder, (page, table, overview))
        write_whole(page, html)
        write_whole(table, text)
        drawn = write_overview(evaluation, overview)
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {run_folder}: {error.strerror}. The run itself is "
            "intact; make room and write the report again"
        ) from error
    return ReportFiles(page, table, overview if drawn else None)


def _tell_the_same(earlier: str, now: str) -> bool:
    """Whether two tables hold equal settings and numbers, however long they took."""
    try:
        before, after = json.loads(earlier), json.loads(now)
        return all(before[name] == after[name] for name in ("settings", "rows"))
    except (ValueError, KeyError, TypeError):
        return False  # of another version, or broken


def _keep(folder: Path, files: Sequence[Path]) -> None:
    """Files of an earlier report under the first number that none has."""
    number = next(n for n in count(1) if not (folder / f"report-{n}.json").exists())
    for file in files:
        if file.exists():
            file.rename(file.with_stem(f"{file.stem}-{number}"))
