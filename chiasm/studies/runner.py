"""A study from plan to results: keeps the slots busy, and never runs a finished cell twice."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chiasm.data.preparation import Stage, silent
from chiasm.errors import UserError
from chiasm.stop import StopRequest
from chiasm.studies.cell import FAILED, Order, Result, read_order, write_order
from chiasm.studies.cells import Cell, expand
from chiasm.studies.data import FILE, DataFingerprints
from chiasm.studies.held_out import refuse_leaks
from chiasm.studies.launcher import Job, Launcher, threads_per_slot
from chiasm.studies.plan import Costs, plan_study, refuse_unequal
from chiasm.studies.settings import StudySettings
from chiasm.studies.shared import Shared
from chiasm.training.together import trains_faster_together
from chiasm.whole import write_json

POLL_SECONDS = 0.05
"""Time between polls of the slots: the longest that one is idle while cells wait."""

MOST_TOGETHER = 4
"""Seeds of a cell that train together; more gain little."""

ERROR_LINES = 12
"""Number of last lines of a failed cell's log that are kept as its error."""


@dataclass
class StudyProgress:
    """State of a running study, reported after every change and at every poll."""

    cells: dict[str, Cell]
    """Content hash → one of its cells."""
    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)
    finished: list[Job] = field(default_factory=list)
    """Finished by this call or before it."""
    failed: dict[Job, str] = field(default_factory=dict)
    """Failed by this call or before it, with the error."""
    idle_seconds: float = 0.0
    """Time that slots were idle while cells waited, summed over slots."""
    busy_seconds: float = 0.0
    stopped: bool = False
    """Whether the call was asked to stop before the last cell."""

    @property
    def idle_share(self) -> float:
        """Share of the slots' time that was idle while cells waited."""
        return self.idle_seconds / max(self.idle_seconds + self.busy_seconds, 1e-9)

    def account(self, slots: int, seconds: float) -> None:
        """Adds the time since the last poll; a slot that fell free in it counts as idle."""
        self.busy_seconds += seconds * len(self.running)
        if self.waiting:
            self.idle_seconds += seconds * (slots - len(self.running))


@dataclass(frozen=True)
class Planned:
    """A study ready to run: its cells, tokenizers and data, and their costs."""

    study: StudySettings
    folder: Path
    cells: list[Cell]
    shared: Shared
    costs: Costs

    def folder_of(self, cell: Cell) -> Path:
        """Returns the cell's own folder."""
        return cell_folder(self.folder, cell.key)

    def order(self, cell: Cell, beside: Iterable[str] = ()) -> Order:
        """Writes and returns the order of the cell's process; ``beside`` it train other cells."""
        inputs = self.shared.inputs_folder(cell)
        return write_order(self.study, cell, self.folder_of(cell), inputs, beside)


def plan(
    study: StudySettings,
    folder: Path,
    *,
    slots: int = 1,
    measure_time: bool,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
) -> Planned:
    """Expands a study, makes what its cells share, and counts what they cost.

    Args:
        study: what to compare.
        folder: the study's folder.
        slots: cells at once, which share the cores.
        measure_time: measure training steps; a study of equal wall-clock always does.
        cache_folder: where rendered worlds are kept.
        on_stage: callback for progress.

    Raises:
        UserError: cells that are no valid recipes, or are not equal in what they should be.
    """
    refuse_foreign_folder(folder)
    data = DataFingerprints(folder)
    cells = expand(study, data)
    refuse_leaks([cell.recipe for cell in cells], study.held_out)
    for path in data.changed:
        on_stage(f"{path}: its data have changed; cells run again on the new ones", 1, 1)
    data.write()
    shared = Shared(folder, cache_folder, on_stage)
    shared.prepare(cells)
    threads = threads_per_slot(slots)
    by_clock = study.equal == "wall_clock"
    costs = plan_study(cells, shared, threads=threads if by_clock else None, on_stage=on_stage)
    refuse_unequal(study, cells, costs)
    if measure_time:
        costs = plan_study(cells, shared, threads=threads, on_stage=on_stage)
    return Planned(study, folder, cells, shared, costs)


def run_study(
    planned: Planned,
    launcher: Launcher,
    *,
    retry_failed: bool = False,
    on_progress: Callable[[StudyProgress], None] = lambda progress: None,
) -> StudyProgress:
    """Runs every unfinished cell, the longest first, and continues past failures.

    SIGTERM and Ctrl-C stop the cells with a checkpoint; the same call resumes from there.

    Args:
        planned: of :func:`plan`.
        launcher: where cells run.
        retry_failed: also run the cells whose last attempt failed.
        on_progress: callback for the state of the study.

    Raises:
        UserError: another runner works on the study.
    """
    with _only_runner(planned.folder), StopRequest() as stop:
        progress = _begin(planned, retry_failed, launcher.slots)
        try:
            on_progress(progress)
            _work(progress, launcher, stop, on_progress)
        finally:  # nothing runs on, whatever ended the work
            progress.stopped = bool(progress.waiting or progress.running)
            launcher.stop()
    return progress


def cell_folder(folder: Path, key: str) -> Path:
    """Returns the folder in which a study keeps the cell of a content hash."""
    return folder / "cells" / key


def refuse_foreign_folder(folder: Path) -> None:
    """Refuses a folder that is neither new, nor empty, nor a study's.

    Raises:
        UserError: the folder holds something else.
    """
    known = {"inputs", "cells", "lock", FILE}
    holds = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (folder.exists() and not folder.is_dir()) or (holds and not holds & known):
        raise UserError(f"{folder} exists and holds no study; give another folder with --out")


def is_finished(folder: Path, order: Order) -> bool:
    """Returns whether a cell's folder has a result with everything that the study asks for."""
    result = Result.read(folder)
    return result is not None and result.measures_key == order.measures_key


def failure(folder: Path, measures_key: str) -> dict[str, Any] | None:
    """Returns the record of a cell's failed last attempt: attempts, status, error; otherwise None.

    Also None where it failed at other measures than those of ``measures_key``, which may succeed.
    """
    try:
        found: dict[str, Any] = json.loads((folder / FAILED).read_text())
    except (OSError, ValueError):
        return None
    return found if found.get("measures_key") == measures_key else None


def _begin(planned: Planned, retry_failed: bool, slots: int) -> StudyProgress:
    unique = {cell.key: cell for cell in planned.cells}
    progress = StudyProgress(unique)
    for cell in unique.values():
        job, order = Job(cell.key, planned.folder_of(cell)), planned.order(cell)
        failed = failure(job.folder, order.measures_key)
        if is_finished(job.folder, order):
            progress.finished.append(job)
        elif failed is not None and not retry_failed:
            progress.failed[job] = failed["error"]
        else:
            progress.waiting.append(job)
    progress.waiting = list(_beside_each_other(planned, progress, slots))
    # The longest first: a long cell that starts last would keep all other slots idle at the end.
    progress.waiting.sort(key=lambda job: -planned.costs[job.key].flops)
    return progress


def _beside_each_other(planned: Planned, progress: StudyProgress, slots: int) -> Iterator[Job]:
    """Yields the waiting jobs, told which cells train with them: those of other seeds."""
    alike: dict[tuple[str, str], list[Job]] = {}
    for job in progress.waiting:
        cell = progress.cells[job.key]
        recipe = cell.recipe.model_copy(update={"seed": 0, "name": ""})
        together = trains_faster_together(recipe.model, recipe.training)
        kind = recipe.model_dump_json() if together else job.key
        alike.setdefault((kind, cell.inputs_key), []).append(job)
    # No more than a slot's share of the cells, so that none is idle for it.
    most = min(MOST_TOGETHER, -(-len(progress.waiting) // slots))
    for jobs in alike.values():
        for begin in range(0, len(jobs), most):
            group = jobs[begin : begin + most]
            for job in group:
                others = [own.key for own in group if own != job]
                planned.order(progress.cells[job.key], others)
                yield replace(job, beside=frozenset(others))


def _work(
    progress: StudyProgress,
    launcher: Launcher,
    stop: StopRequest,
    on_progress: Callable[[StudyProgress], None],
) -> None:
    looked = time.monotonic()
    while (progress.waiting or progress.running) and stop.signal is None:
        _fill(progress, launcher)
        time.sleep(POLL_SECONDS)
        for job, status in launcher.ended():
            progress.running.remove(job)
            _end(progress, job, status)
        now = time.monotonic()
        progress.account(launcher.slots, now - looked)
        looked = now
        on_progress(progress)


def _fill(progress: StudyProgress, launcher: Launcher) -> None:
    while len(progress.running) < launcher.slots:
        in_training = {key for job in progress.running for key in job.beside}
        job = next((job for job in progress.waiting if job.key not in in_training), None)
        if job is None:
            return
        progress.waiting.remove(job)
        launcher.start(job)
        progress.running.append(job)


def _end(progress: StudyProgress, job: Job, status: int) -> None:
    measures = read_order(job.folder).measures_key
    before = failure(job.folder, measures)
    if status == 0 and Result.read(job.folder) is not None:
        (job.folder / FAILED).unlink(missing_ok=True)
        progress.finished.append(job)
        return
    error = _error(job.folder, status)
    attempts = 1 + (before["attempts"] if before else 0)
    content = {"attempts": attempts, "status": status, "error": error}
    write_json(job.folder / FAILED, {**content, "measures_key": measures})
    progress.failed[job] = error


def _error(folder: Path, status: int) -> str:
    try:
        lines = (folder / "log.txt").read_text(errors="replace").rstrip().splitlines()
    except OSError:
        lines = []
    # A user's mistake is one message behind this prefix; a crash shows in its last lines.
    told = [number for number, line in enumerate(lines) if line.startswith("chiasm: ")]
    kept = lines[told[-1] :] if told else lines[-ERROR_LINES:]
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return "\n".join([f"({ended})", *kept])


@contextmanager
def _only_runner(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise UserError(
                f"another runner (process {lock.read().strip() or 'unknown'}) works on the study "
                f"in {folder}; wait for it, or stop it with Ctrl-C or SIGTERM"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
