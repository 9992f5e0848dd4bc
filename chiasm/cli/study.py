"""chiasm study: plan, run, status, collect and report a study; and one cell, as a slot runs it.

A verb imports what it needs, torch above all, once the study's file is read: a mistake in it is
told at once.
"""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.options import Cache, Partition, Sbatch, Time, command
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.report.doc import Table
from chiasm.report.terminal import show
from chiasm.slurm import Resources, queued
from chiasm.studies.settings import StudySettings, load_study

if TYPE_CHECKING:
    from chiasm.studies.launcher import Launcher

app = typer.Typer(help="Comparisons: a TOML file in, a page out.", no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(help="A study: a TOML file.")]
Out = Annotated[
    Path | None, typer.Option(help="The study's folder; without it runs/studies/ and its name.")
]
Slots = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Cells at once, which share the cores; without it one per core, on a GPU one, on a "
        "cluster 8.",
    ),
]


class Where(StrEnum):
    """What runs the cells of a study."""

    LOCAL = "local"
    SLURM = "slurm"


@app.command("plan")
def plan_(study: StudyFile, out: Out = None, slots: Slots = None, cache: Cache = None) -> None:
    """Show the study's cells and what they cost, from counted batches and measured steps."""
    settings = load_study(study)
    from chiasm.cli.cells import chosen_slots, plan_table, planned_study, total

    slots = chosen_slots(settings, slots)
    with RunDisplay() as display:
        planned = planned_study(
            settings, _folder(settings, out), slots, cache, display, measure_time=True
        )
    show(plan_table(planned))
    print(total(planned, slots))


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    slots: Slots = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run cells again whose last attempt failed.")
    ] = False,
    launcher: Annotated[
        Where, typer.Option(help="Processes of this machine, or jobs of a Slurm cluster.")
    ] = Where.LOCAL,
    partition: Partition = None,
    time: Time = None,
    sbatch: Sbatch = None,
    cache: Cache = None,
) -> None:
    """Run every cell that is not finished; what was stopped or killed goes on where it was."""
    resources = Resources(partition=partition, time=time, options=tuple(sbatch or ()))
    if launcher is Where.SLURM:
        queued()  # fails at once where there is no Slurm
    elif resources != Resources():
        raise UserError(
            "--partition, --time and --sbatch are of Slurm", remedy="add --launcher slurm"
        )
    settings = load_study(study)
    from chiasm.cli.cells import CellsShown, planned_study
    from chiasm.studies.runner import run_study

    chosen = _launcher(launcher, settings, slots, resources, cache)
    slots = chosen.slots
    with RunDisplay() as display:
        planned = planned_study(
            settings, _folder(settings, out), slots, cache, display, measure_time=False
        )
        shown = CellsShown(planned, display)
        progress = run_study(
            planned, chosen, retry_failed=retry_failed, on_progress=shown.on_progress
        )
    rest = len(progress.waiting) + len(progress.running)
    print(
        f"{len(progress.finished)} cells finished, {len(progress.failed)} failed, {rest} to go on "
        f"with; slots idle {progress.idle_share:.1%} of the time"
    )
    for job, error in progress.failed.items():
        print(f"failed: {progress.cells[job.key].title} in {job.folder}\n{error}", file=sys.stderr)
    if progress.stopped:
        print("stopped; cells have saved. The same command goes on from here")
    if progress.failed:
        print("chiasm study run --retry-failed runs the failed cells again", file=sys.stderr)
    if progress.failed or progress.stopped:
        raise typer.Exit(1)


@app.command()
def status(study: StudyFile, out: Out = None) -> None:
    """Show where every cell of the study stands."""
    settings = load_study(study)
    from chiasm.studies.collect import State, collect, version_differences

    records = collect(settings, _folder(settings, out))
    rows = [
        (
            record.cell.name,
            str(record.cell.seed),
            str(record.state),
            f"{record.step}/{record.cell.recipe.training.steps}",
            record.cell.key,
        )
        for record in records
    ]
    show(Table(rows, ("cell", "seed", "state", "step", "hash")))
    for record in records:
        if record.error:
            print(f"failed: {record.cell.title} in {record.folder}\n{record.error}")
    for name, values in version_differences(records).items():
        print(f"the finished cells differ in {name}: {'; '.join(values)}")
    finished = sum(record.state is State.FINISHED for record in records)
    print(f"{finished} of {len(records)} finished")


@app.command("collect")
def collect_(study: StudyFile, out: Out = None) -> None:
    """Write cells.json with every cell's metrics and, for IsoFLOP studies, points.csv."""
    settings = load_study(study)
    from chiasm.scaling.points import write_points
    from chiasm.studies.collect import State, collect, is_isoflop, points, write_cells

    folder = _folder(settings, out)
    records = collect(settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_cells(settings, records, folder / "cells.json")
    finished = sum(record.state is State.FINISHED for record in records)
    print(f"{finished} of {len(records)} cells finished: {folder / 'cells.json'}")
    if is_isoflop(settings):
        write_points(points(settings, records), folder / "points.csv")
        missing = f", {len(records) - finished} of them without a loss" * (finished < len(records))
        print(f"{len(records)} points{missing}: {folder / 'points.csv'}")


@app.command()
def report(study: StudyFile, out: Out = None, cache: Cache = None) -> None:
    """Write report.html and report.json: means, intervals, differences, published values."""
    settings = load_study(study)
    from chiasm.studies.collect import collect, write_cells
    from chiasm.studies.page import write_study_report

    folder = _folder(settings, out)
    records = collect(settings, folder)
    words = ["chiasm", "study", "run", str(study), *(["--out", str(out)] if out else [])]
    files = write_study_report(settings, records, folder, shlex.join(words), cache)
    write_cells(settings, records, folder / "cells.json")
    print(f"the report is {files.page}")


@app.command()
def cell(
    folder: Annotated[Path, typer.Argument(help="A cell's folder, made by chiasm study run.")],
    cache: Cache = None,
) -> None:
    """Run one cell of a study, as each slot does."""
    from chiasm.studies.cell import run_cell
    from chiasm.studies.opened import Opened

    run_cell(folder, opened=Opened(cache), command=command())


@app.command(hidden=True)
def slot(cache: Cache = None) -> None:
    """Run the cells that the standard input names, in succession; chiasm study run starts it."""
    from chiasm.studies.slot import run_cells

    run_cells(cache)


def _launcher(
    where: Where, study: StudySettings, slots: int | None, resources: Resources, cache: Path | None
) -> Launcher:
    from chiasm.cli.cells import chosen_slots
    from chiasm.studies.cluster import SLOTS, SlurmLauncher
    from chiasm.studies.launcher import LocalLauncher

    if where is Where.SLURM:
        return SlurmLauncher(slots or SLOTS, resources, cache)
    return LocalLauncher(chosen_slots(study, slots), cache)


def _folder(study: StudySettings, out: Path | None) -> Path:
    return out or Path("runs") / "studies" / study.name
