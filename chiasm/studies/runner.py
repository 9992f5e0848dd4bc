"""A study from plan to results: keeps the slots busy, and never runs a finished cell twice."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.stop import StopRequest
from chiasm.studies.branches import branches
from chiasm.studies.cell import FAILED, Order, Result, checkpoint, read_order, remove_checkpoints
from chiasm.studies.cells import Cell
from chiasm.studies.launcher import Job, Launcher
from chiasm.studies.planned import Planned
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
    progress.waiting = list(_beside_each_other(planned, _with_branches(progress), slots))
    # The longest first: a long cell that starts last would keep all other slots idle at the end.
    progress.waiting.sort(key=lambda job: -planned.costs[job.key].flops)
    return progress


def _with_branches(progress: StudyProgress) -> StudyProgress:
    """Tells the waiting jobs where they leave longer ones, which wait or still have the place."""
    folder_of = {job.key: job.folder for job in (*progress.waiting, *progress.finished)}
    waiting = {job.key for job in progress.waiting}

    def has(cell: Cell, step: int) -> bool:
        return cell.key in waiting or checkpoint(folder_of[cell.key], step).exists()

    found = branches([progress.cells[key] for key in folder_of], has)
    progress.waiting = [replace(job, branch=found.get(job.key)) for job in progress.waiting]
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
                kept = {own.left_at(job) for own in progress.waiting} - {0}
                planned.order(progress.cells[job.key], others, job.branch, sorted(kept))
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
        job = next((job for job in progress.waiting if _is_ready(progress, job)), None)
        if job is None:
            return
        progress.waiting.remove(job)
        launcher.start(job)
        progress.running.append(job)


def _is_ready(progress: StudyProgress, job: Job) -> bool:
    """Whether nothing trains the job already, and there is what it and those beside it begin
    with."""
    if any(job.key in other.beside for other in progress.running):
        return False
    pending = {other.key for other in (*progress.waiting, *progress.running)}
    alike = [own for own in progress.waiting if own.key in job.beside | {job.key}]
    return not any(
        own.branch
        and own.branch.trunk in pending
        and not checkpoint(own.folder.parent / own.branch.trunk, own.branch.step).exists()
        for own in alike
    )


def _end(progress: StudyProgress, job: Job, status: int) -> None:
    measures = read_order(job.folder).measures_key
    before = failure(job.folder, measures)
    if status == 0 and Result.read(job.folder) is not None:
        (job.folder / FAILED).unlink(missing_ok=True)
        progress.finished.append(job)
        _remove_left_places(progress)
        return
    error = _error(job.folder, status)
    attempts = 1 + (before["attempts"] if before else 0)
    content = {"attempts": attempts, "status": status, "error": error}
    write_json(job.folder / FAILED, {**content, "measures_key": measures})
    progress.failed[job] = error


def _remove_left_places(progress: StudyProgress) -> None:
    """Removes the checkpoints of finished cells that no other cell will begin with."""
    pending = [*progress.waiting, *progress.running]
    for job in progress.finished:
        if not any(other.left_at(job) for other in pending):
            remove_checkpoints(job.folder)


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
