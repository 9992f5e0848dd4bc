"""chiasm study: plan, run, status, collect and report a study; and one cell, as a slot runs it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_recipe
from chiasm.report.doc import Table
from chiasm.report.numbers import duration, short_count
from chiasm.report.terminal import show
from chiasm.scaling.points import write_points
from chiasm.studies import (
    Cell,
    Cost,
    LocalLauncher,
    Planned,
    State,
    StudyProgress,
    StudySettings,
    collect,
    is_isoflop,
    load_study,
    plan,
    points,
    run_cell,
    run_study,
    write_cells,
    write_study_report,
)
from chiasm.studies.collect import last_step, version_differences
from chiasm.studies.plan import refuse_off_budget

app = typer.Typer(help="Comparisons: a TOML file in, a page out.", no_args_is_help=True)

SHOW_SECONDS = 1.0
"""Between looks at how far the running cells are."""

StudyFile = Annotated[Path, typer.Argument(help="A study: a TOML file.")]
Out = Annotated[
    Path | None, typer.Option(help="The study's folder; without it runs/studies/ and its name.")
]
Slots = Annotated[int, typer.Option(min=1, help="Cells at once, which share the cores.")]
Cache = Annotated[
    Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
]


@app.command("plan")
def plan_(study: StudyFile, out: Out = None, slots: Slots = 1, cache: Cache = None) -> None:
    """Show the study's cells and what they cost, from counted batches and measured steps."""
    settings = load_study(study)
    with RunDisplay() as display:
        planned = _planned(settings, out, slots, cache, display, measure_time=True)
    show(_plan_table(planned))
    print(_total(planned, slots))


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    slots: Slots = 1,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run cells again whose last attempt failed.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Run every cell that is not finished; what was stopped or killed goes on where it was."""
    settings = load_study(study)
    with RunDisplay() as display:
        planned = _planned(settings, out, slots, cache, display, measure_time=False)
        shown = _Shown(planned, display)
        launcher = LocalLauncher(slots, cache)
        progress = run_study(
            planned, launcher, retry_failed=retry_failed, on_progress=shown.on_progress
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
    folder = _folder(settings, out)
    records = collect(settings, folder)
    command = ["chiasm", "study", "run", str(study), *(["--out", str(out)] if out else [])]
    files = write_study_report(settings, records, folder, shlex.join(command), cache)
    write_cells(settings, records, folder / "cells.json")
    print(f"the report is {files.page}")


@app.command()
def cell(
    folder: Annotated[Path, typer.Argument(help="A cell's folder, made by chiasm study run.")],
    while_stdin_is_open: Annotated[
        bool, typer.Option(help="Save and stop when the standard input closes.")
    ] = False,
    cache: Cache = None,
) -> None:
    """Run one cell of a study, as each slot does."""
    if while_stdin_is_open:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    run_cell(folder, cache_folder=cache, command=shlex.join(["chiasm", *sys.argv[1:]]))


def _stop_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _folder(study: StudySettings, out: Path | None) -> Path:
    return out or Path("runs") / "studies" / study.name


def _planned(
    study: StudySettings,
    out: Path | None,
    slots: int,
    cache: Path | None,
    display: RunDisplay,
    *,
    measure_time: bool,
) -> Planned:
    load_recipe(study.recipe)  # a base recipe that is wrong by itself is told by its own name
    planned = plan(
        study,
        _folder(study, out),
        slots=slots,
        measure_time=measure_time,
        cache_folder=cache,
        on_stage=display.on_stage,
    )
    refuse_off_budget(study, planned.cells, planned.costs)
    return planned


def _plan_table(planned: Planned) -> Table:
    rows = []
    for name in dict.fromkeys(cell.name for cell in planned.cells):
        own = [cell for cell in planned.cells if cell.name == name]
        rows.append(_plan_row(name, own, planned.costs[own[0].key], planned))
    columns = ("cell", "seeds", "steps", "tokens: all, text, vision", "FLOPs", "active", "time")
    return Table(rows, columns)


def _plan_row(name: str, own: list[Cell], cost: Cost, planned: Planned) -> list[str]:
    same = next((c.name for c in planned.cells if c.key == own[0].key and c.name != name), None)
    tokens = (cost.tokens, cost.text_tokens, cost.vision_tokens)
    return [
        f"{name} (the same run as {same})" if same else name,
        str(len(own)),
        str(cost.steps),
        ", ".join(short_count(value) for value in tokens),
        f"{cost.flops:.3g}",
        f"{short_count(cost.active_parameters)} of {short_count(cost.total_parameters)}",
        duration(cost.seconds or 0.0),
    ]


def _total(planned: Planned, slots: int) -> str:
    costs = [planned.costs[key] for key in {cell.key for cell in planned.cells}]
    seconds = sum(cost.seconds or 0.0 for cost in costs)
    cpu_hours = sum((cost.seconds or 0.0) * (cost.threads or 1) for cost in costs) / 3600
    on_gpu = planned.cells[0].recipe.training.device.startswith("cuda")
    hours = f"{seconds / 3600:.2f} GPU-hours" if on_gpu else f"{cpu_hours:.2f} CPU-hours"
    flops = sum(cost.flops for cost in costs)
    return (
        f"{len(costs)} runs, {flops:.3g} FLOPs, {hours} of training, about "
        f"{duration(seconds / slots)} with {slots} at once; measuring and starting come on top"
    )


class _Shown:
    """One bar for all cells and one for each that runs."""

    def __init__(self, planned: Planned, display: RunDisplay) -> None:
        self._planned, self._display = planned, display
        self._looked = -SHOW_SECONDS
        self._counts = (-1, -1, -1)

    def on_progress(self, progress: StudyProgress) -> None:
        """Show where the cells are, once a second and when one begins or ends."""
        counts = (len(progress.waiting), len(progress.running), len(progress.failed))
        if counts == self._counts and time.monotonic() - self._looked < SHOW_SECONDS:
            return
        self._looked, self._counts = time.monotonic(), counts
        done = len(progress.finished) + len(progress.failed)
        self._display.on_stage("cells", done, len(progress.cells))
        running = {job.key: job for job in progress.running}
        for key, job in running.items():
            cell = progress.cells[key]
            self._display.on_stage(cell.title, last_step(job.folder), cell.recipe.training.steps)
        for key, cell in progress.cells.items():
            if key not in running:
                self._display.forget(cell.title)
