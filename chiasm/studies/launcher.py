"""Starting cells: here in slots of this machine, on a cluster behind the same interface."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chiasm.studies.branches import Branch
from chiasm.studies.slot import Slot

STOP_SECONDS = 60
"""Time that a cell gets for its last step and checkpoint when it is asked to stop."""


@dataclass(frozen=True)
class Job:
    """One cell to run: its folder holds all that its process needs."""

    key: str
    folder: Path
    beside: frozenset[str] = frozenset()
    """Keys of the cells that train with it: the first one trains all, the others follow it."""
    branch: Branch | None = None
    """Where it leaves another cell, whose checkpoint it waits for."""

    def left_at(self, other: Job) -> int:
        """Returns the steps of another job's checkpoint that it begins with; 0: it does not."""
        return self.branch.step if self.branch and self.branch.trunk == other.key else 0


class Launcher(Protocol):
    """Runs jobs somewhere; every job is the command ``chiasm study cell FOLDER``."""

    slots: int
    """Jobs that may run at once."""

    def start(self, job: Job) -> None:
        """Starts a job; never more than ``slots`` run at once."""

    def ended(self) -> list[tuple[Job, int]]:
        """Returns the jobs that ended since the last call, with exit status; does not wait."""

    def stop(self) -> None:
        """Asks every job to save and stop, and waits until it has."""


class LocalLauncher:
    """Slots of this machine, which share its cores evenly; a slot's process runs cell after cell.

    Args:
        slots: cells at once.
        cache_folder: where rendered worlds are kept.
    """

    def __init__(self, slots: int, cache_folder: Path | None = None) -> None:
        self.slots = slots
        self.cache_folder = cache_folder
        self._running: dict[Job, Slot] = {}
        self._idle: list[Slot] = []

    @property
    def threads(self) -> int:
        """Number of threads of each process."""
        return threads_per_slot(self.slots)

    def start(self, job: Job) -> None:
        """Starts a job; its output goes to log.txt in its folder."""
        assert len(self._running) < self.slots, "no slot is free"
        while self._idle:
            slot = self._idle.pop()
            if slot.begin(job.folder):
                break
            slot.close()
        else:
            slot = Slot(job.folder, self.threads, self.cache_folder)
        self._running[job] = slot

    def ended(self) -> list[tuple[Job, int]]:
        """Returns the jobs that ended since the last call, with their exit status."""
        looked = [(job, slot.status()) for job, slot in self._running.items()]
        ended = [(job, status) for job, status in looked if status is not None]
        self._idle += [self._running.pop(job) for job, _ in ended]
        return ended

    def stop(self) -> None:
        """Sends SIGTERM to every process; kills those that do not end in time, to resume later."""
        slots = [*self._running.values(), *self._idle]
        for slot in slots:
            slot.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for slot in slots:
            slot.close(max(0.0, deadline - time.monotonic()))
        self._running.clear()
        self._idle.clear()


def threads_per_slot(slots: int) -> int:
    """Returns the threads that each of ``slots`` processes gets of this machine's cores."""
    return max(1, (os.cpu_count() or 1) // slots)
