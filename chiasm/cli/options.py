"""Options of the command line that several verbs read, checked before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.errors import UserError
from chiasm.inference.request import LEAST_GUIDANCE, MOST_GUIDANCE


def _check_guidance(value: float) -> float:
    if not LEAST_GUIDANCE <= value <= MOST_GUIDANCE:  # nor is nan
        raise UserError(
            f"--guidance {value:g}: give {LEAST_GUIDANCE:g} (none) to {MOST_GUIDANCE:g}"
        )
    return value


Guidance = Annotated[
    float,
    typer.Option(
        callback=_check_guidance,
        help=f"{LEAST_GUIDANCE:g} is none, {MOST_GUIDANCE:g} the most",
    ),
]


def check_folder(folder: Path) -> None:
    """Refuses an --out that cannot become a folder."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out {folder}: {there} is a file; give a folder")


def check_run(run: Path) -> None:
    """Refuses a run that does not exist."""
    if not run.is_dir():
        raise UserError(f"{run} does not exist; give a run folder")


def check_file(path: Path) -> None:
    """Refuses an --out that cannot become a file."""
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; make it first")


def numbers(option: str, text: str) -> list[float]:
    """Returns the positive numbers of a comma-separated list."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {text}: write numbers with commas, such as 1e12,3e12") from error
    if not all(0 < value < float("inf") for value in values):
        raise UserError(f"{option} {text}: every number must be above 0")
    return values
