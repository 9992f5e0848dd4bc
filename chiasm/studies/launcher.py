"""Starting cells: here in processes of this machine, on a cluster behind the same interface."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

STOP_SECONDS = 60
"""Time that a cell gets for its last step and checkpoint when it is asked to stop."""


@dataclass(frozen=True)
class Job:
    """One cell to run: its folder holds all that its process needs."""

    key: str
    folder: Path


class Launcher(Protocol):
    """Runs jobs somewhere; every job is the command of :func:`cell_command`."""

    slots: int
    """Jobs that may run at once."""

    def start(self, job: Job) -> None:
        """Starts a job; never more than ``slots`` run at once."""

    def ended(self) -> list[tuple[Job, int]]:
        """Returns the jobs that ended since the last call, with exit status; does not wait."""

    def stop(self) -> None:
        """Asks every job to save and stop, and waits until it has."""


def cell_command(folder: Path, cache_folder: Path | None = None) -> list[str]:
    """Returns the command that runs one cell, on any machine that sees the folder."""
    command = [sys.executable, "-m", "chiasm", "study", "cell", str(folder)]
    return command + (["--cache", str(cache_folder)] if cache_folder else [])


class LocalLauncher:
    """Processes on this machine, which share its cores evenly.

    A process holds the reading end of a pipe whose writing end is the launcher's: when the launcher
    dies, for whatever reason, the pipe closes and the cell saves and stops.

    Args:
        slots: processes at once.
        cache_folder: where rendered worlds are kept.
    """

    def __init__(self, slots: int, cache_folder: Path | None = None) -> None:
        self.slots = slots
        self.cache_folder = cache_folder
        self._running: dict[Job, subprocess.Popen[bytes]] = {}

    @property
    def threads(self) -> int:
        """Number of threads of each process."""
        return threads_per_slot(self.slots)

    def start(self, job: Job) -> None:
        """Starts a job; its output goes to log.txt in its folder."""
        assert len(self._running) < self.slots, "no slot is free"
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        with (job.folder / "log.txt").open("wb") as log:
            self._running[job] = subprocess.Popen(
                [*cell_command(job.folder, self.cache_folder), "--while-stdin-is-open"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the runner alone, which stops the jobs
            )

    def ended(self) -> list[tuple[Job, int]]:
        """Returns the jobs that ended since the last call, with their exit status."""
        ended = [
            (job, status)
            for job, process in self._running.items()
            if (status := process.poll()) is not None
        ]
        for job, _ in ended:
            _close(self._running.pop(job))
        return ended

    def stop(self) -> None:
        """Sends SIGTERM to every process; kills those that do not end in time, to resume later."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)
        self._running.clear()


def threads_per_slot(slots: int) -> int:
    """Returns the threads that each of ``slots`` processes gets of this machine's cores."""
    return max(1, (os.cpu_count() or 1) // slots)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
