"""Writes the atlas into the run's folder ``experts/``: the page, the table and the figures."""

from __future__ import annotations

import json
from pathlib import Path

from chiasm.evaluation.atlas.atlas import Atlas
from chiasm.report.atlas.figures import draw_figures
from chiasm.report.atlas.page import atlas_report
from chiasm.report.files import ReportFiles, write_page, writing
from chiasm.report.run_folder import RunFolder
from chiasm.whole import write_whole

FOLDER = "experts"


def write_atlas(run_folder: Path, atlas: Atlas, command: str) -> ReportFiles:
    """Writes atlas.html, atlas.json and one SVG file for each figure, replacing earlier ones.

    Raises:
        UserError: when the folder cannot be written.
    """
    folder = run_folder / FOLDER
    figures = draw_figures(atlas)
    report = atlas_report(atlas, RunFolder.read(run_folder), figures, command)
    remedy = "The run itself is intact; make room and run the same command again"
    with writing("the atlas", folder, remedy):
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.svg"):
            stale.unlink()
        for name, svg in figures.items():
            write_whole(folder / f"{name}.svg", svg)
        return write_page(report, folder / "atlas.html", indent=None)


def earlier_atlas(run_folder: Path) -> str:
    """Returns a description of the atlas in a run's folder; empty without one."""
    table = run_folder / FOLDER / "atlas.json"
    try:
        record = json.loads(table.read_text(encoding="utf-8"))
        documents, settings = sum(record["documents"].values()), record["settings"]
        return f"{documents:,} documents, cutoff {settings['cutoff']:g}, seed {settings['seed']}"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return "an unreadable atlas.json"
