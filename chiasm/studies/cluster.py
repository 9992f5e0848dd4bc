"""Cells as jobs of a Slurm cluster, each in a job of its own.

A cell that is pre-empted, or reaches its time limit, goes back into the queue by itself and on from
its checkpoint: to the runner it runs all the while. Jobs outlive a runner that is killed; the next
one takes them over.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from chiasm.errors import UserError
from chiasm.slurm import SAVE_SECONDS, Resources, SlurmJob, cancel, interrupt, queued
from chiasm.studies.launcher import Job

SLOTS = 8
"""Cells that are in the queue at once, if nobody says another number."""

FILES_SECONDS = 1.0
"""Time between looks at what cells wrote."""

QUEUE_SECONDS = 10.0
"""Time between questions to the queue, which answers all users of the cluster."""

LOST_SECONDS = 60.0
"""Time that a job may be gone from the queue before its exit status is seen: machines of one file
system see each other's files late."""


class SlurmLauncher:
    """Runs cells on a cluster.

    Args:
        slots: cells in the queue or running at once.
        resources: what each of them asks for.
        cache_folder: where rendered worlds are kept; all machines see it.
    """

    def __init__(self, slots: int, resources: Resources, cache_folder: Path | None = None) -> None:
        self.slots = slots
        self.resources = resources
        self.cache_folder = cache_folder
        self._running: dict[Job, SlurmJob] = {}
        self._missing: dict[Job, float] = {}
        """When a job was first missed in the queue."""
        self._looked = self._asked = -QUEUE_SECONDS

    def start(self, job: Job) -> None:
        """Submits a cell, or takes over its job where an earlier runner has left one.

        Raises:
            UserError: the cluster refuses the job, or there is none.
        """
        own = self._job(job)
        if own.last is None or own.status is not None or own.last not in queued():
            own.log.unlink(missing_ok=True)
            own.submit()
        self._running[job] = own

    def ended(self) -> list[tuple[Job, int]]:
        """Returns the cells that ended since the last call, with their exit status."""
        now = time.monotonic()
        if now - self._looked < FILES_SECONDS:
            return []
        self._looked = now
        if now - self._asked >= QUEUE_SECONDS:
            self._asked = now
            self._miss(now)
        looked = [(job, self._status(job, now)) for job in self._running]
        ended = [(job, status) for job, status in looked if status is not None]
        for job, _ in ended:
            del self._running[job]
            self._missing.pop(job, None)
        return ended

    def stop(self) -> None:
        """Lets every cell save and end; cancels those that take too long, to resume later."""
        left = {own.last for own in self._running.values() if own.last is not None}
        self._running.clear()
        if not left:
            return
        cancel(left, waiting=True)
        interrupt(left)
        deadline = time.monotonic() + SAVE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(FILES_SECONDS)
            with suppress(UserError):  # no answer yet
                left &= queued()
            if left:
                cancel(left, waiting=True)  # what was on its way back into the queue
        if left:
            cancel(left)

    def _job(self, job: Job) -> SlurmJob:
        words = ["study", "cell", str(job.folder.absolute())]
        words += ["--cache", str(self.cache_folder.absolute())] if self.cache_folder else []
        folder, log = job.folder / "slurm", job.folder / "log.txt"
        return SlurmJob(f"chiasm-{job.key}", words, folder, log, self.resources)

    def _miss(self, now: float) -> None:
        """Notes which jobs the queue does not have; a queue without an answer says nothing."""
        with suppress(UserError):
            there = queued()
            for job, own in self._running.items():
                if own.last in there:
                    self._missing.pop(job, None)
                else:
                    self._missing.setdefault(job, now)

    def _status(self, job: Job, now: float) -> int | None:
        own = self._running[job]
        status, missed = own.status, self._missing.get(job)
        if status is not None or missed is None or now - missed < LOST_SECONDS:
            return status
        with own.log.open("a") as log:
            log.write(
                f"chiasm: job {own.last} has left the queue without an exit status: it was "
                "cancelled, or killed at a limit of time or memory\n"
            )
        return 1
