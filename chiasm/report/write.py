"""Write the report into the run folder: the page, the table, and the overview picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Evaluation
from chiasm.report.frame import replace
from chiasm.report.overview import write_overview
from chiasm.report.page import Provenance, render_page
from chiasm.report.run_folder import RunFolder
from chiasm.report.table import report_record


@dataclass(frozen=True)
class ReportFiles:
    """Where the report lies."""

    page: Path
    table: Path
    overview: Path | None
    """None when there was nothing to show."""


def write_report(run_folder: Path, evaluation: Evaluation, provenance: Provenance) -> ReportFiles:
    """Write report.html, report.json and overview.png, replacing an earlier report as a whole.

    Raises:
        UserError: when the folder cannot be written.
    """
    run = RunFolder.read(run_folder)
    record = report_record(evaluation, provenance.command, run.versions)
    page, table = run_folder / "report.html", run_folder / "report.json"
    overview = run_folder / "overview.png"
    try:
        replace(page, render_page(evaluation, run, provenance))
        replace(table, json.dumps(record, indent=2, allow_nan=False) + "\n")
        drawn = write_overview(evaluation, overview)
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {run_folder}: {error.strerror}. The run itself is "
            "intact; make room and write the report again"
        ) from error
    return ReportFiles(page, table, overview if drawn else None)
