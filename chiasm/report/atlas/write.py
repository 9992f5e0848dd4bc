"""Write the atlas into the run's folder ``experts/``: the page, the table and the figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError
from chiasm.evaluation.atlas.atlas import Atlas
from chiasm.report.atlas.figures import draw_figures
from chiasm.report.atlas.page import render_atlas
from chiasm.report.atlas.table import atlas_record
from chiasm.report.run_folder import RunFolder
from chiasm.training.versions import versions
from chiasm.whole import write_whole

FOLDER = "experts"


@dataclass(frozen=True)
class AtlasFiles:
    """Where the atlas lies."""

    page: Path
    table: Path
    figures: tuple[Path, ...]
    replaced: str
    """What the earlier atlas was of; empty without one."""


def write_atlas(run_folder: Path, atlas: Atlas, command: str) -> AtlasFiles:
    """Write atlas.html, atlas.json and one SVG file for each figure, replacing earlier ones.

    Raises:
        UserError: when the folder cannot be written.
    """
    run, folder = RunFolder.read(run_folder), run_folder / FOLDER
    page, table = folder / "atlas.html", folder / "atlas.json"
    figures = draw_figures(atlas)
    made_with = {"training": run.versions, "atlas": versions(command)}
    record = atlas_record(atlas, command, made_with)
    replaced = _told(table) if table.exists() else ""
    try:
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.svg"):
            stale.unlink()
        for name, svg in figures.items():
            write_whole(folder / f"{name}.svg", svg)
        write_whole(page, render_atlas(atlas, run, figures, command))
        write_whole(table, json.dumps(record, allow_nan=False) + "\n")
    except OSError as error:
        raise UserError(
            f"the atlas cannot be written to {folder}: {error.strerror}. The run itself is intact; "
            "make room and run the same command again"
        ) from error
    return AtlasFiles(page, table, tuple(folder / f"{name}.svg" for name in figures), replaced)


def _told(table: Path) -> str:
    """What an atlas.json says of itself, in words."""
    try:
        record = json.loads(table.read_text(encoding="utf-8"))
        documents, settings = sum(record["documents"].values()), record["settings"]
        return f"{documents:,} documents, cutoff {settings['cutoff']:g}, seed {settings['seed']}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return "an unreadable atlas.json"
