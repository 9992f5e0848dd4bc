"""Processes with all imports done: forked from one that has imported what a rank imports.

A start of Python, torch and chiasm takes some seconds of a core, which tests of ranks would spend
on every rank.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from subprocess import TimeoutExpired

PRELOADED = [
    *("torch.distributed.checkpoint", "torch.distributed.tensor", "torch.utils.tensorboard.writer"),
    *("chiasm.assembly", "chiasm.cli.train", "chiasm.cli.vision"),
]

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(PRELOADED)


class Forked:
    """A Python command in a process of its own, as :class:`subprocess.Popen` of text would be."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        handle, name = tempfile.mkstemp(prefix="said-")
        os.close(handle)
        self._said = Path(name)
        self._process = FORKS.Process(target=run, args=(list(command), dict(variables), name))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("a forked command", timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """What it wrote, when it has ended."""
        self.wait(timeout)
        return self._said.read_text(), None

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: Signals) -> None:
        os.kill(self.pid, number)


def run(command: list[str], variables: dict[str, str], said: str) -> None:
    """Runs ``-m MODULE ...`` or ``SCRIPT ...``, whose output goes to a file."""
    os.environ.update(variables)
    file = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).parent))
        runpy.run_path(command[0], run_name="__main__")
