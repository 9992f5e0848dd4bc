"""A process of this machine that runs cells in succession: imports and worlds are paid once.

It reads the cells' folders from its standard input, a line of JSON each, and writes a line to its
standard output for each cell that is finished. Any other end of a cell is the process's own, so
that the exit status is that of ``chiasm study cell``. It also ends after a cell that leaves behind
what nobody knows: modules of the user, compiled code, memory of a GPU.

When the standard input closes, the cell saves and stops: the launcher holds the other end of it,
and may die for whatever reason.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import torch

from chiasm.device import choose_device, return_freed_memory
from chiasm.recipe import Recipe, load_recipe
from chiasm.studies.cell import run_cell
from chiasm.studies.opened import Opened


class Slot:
    """The launcher's end of such a process, which begins with a first cell.

    Args:
        folder: of the first cell.
        threads: of the process.
        cache_folder: where rendered worlds are kept.
    """

    def __init__(self, folder: Path, threads: int, cache_folder: Path | None) -> None:
        command = [sys.executable, "-m", "chiasm", "study", "slot"]
        with (folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                command + (["--cache", str(cache_folder)] if cache_folder else []),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                start_new_session=True,  # Ctrl-C reaches the runner alone, which stops the cells
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._folders, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._answers.fileno(), False)
        self._send(folder)

    def begin(self, folder: Path) -> bool:
        """Starts another cell, whose output goes to log.txt; False where the process has ended."""
        (folder / "log.txt").write_bytes(b"")
        return self._process.poll() is None and self._send(folder)

    def status(self) -> int | None:
        """Returns the exit status of the cell; None while it runs."""
        return 0 if self._answers.read(1) else self._process.poll()

    def terminate(self) -> None:
        """Asks the process to save and stop."""
        self._process.terminate()

    def close(self, seconds: float = 0.0) -> None:
        """Waits for the end of the process; kills it where it does not end in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folders.close()
        self._answers.close()

    def _send(self, folder: Path) -> bool:
        with suppress(BrokenPipeError):
            self._folders.write(json.dumps(str(folder.absolute())).encode() + b"\n")
            return True
        return False


def run_cells(cache_folder: Path | None = None) -> None:
    """Runs cells as the process of a slot, until one of them is to be the last.

    Raises:
        Stopped: a signal ended a training; its last step is saved.
        UserError: whatever ends a cell.
    """
    answers = os.dup(1)  # what a cell prints goes elsewhere
    folders: SimpleQueue[Path] = SimpleQueue()
    threading.Thread(target=_listen, args=(folders,), daemon=True).start()
    opened, random = Opened(cache_folder), torch.get_rng_state()
    while True:
        folder = folders.get()
        with (folder / "log.txt").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        torch.set_rng_state(random)
        run_cell(folder, opened=opened, command=_command(folder, cache_folder))
        if not _leaves_nothing(load_recipe(folder / "recipe.toml")):
            return
        gc.collect()
        return_freed_memory(torch.device("cpu"))
        sys.stdout.flush()
        os.write(answers, b"\n")


def _leaves_nothing(recipe: Recipe) -> bool:
    device = choose_device(recipe.training.device)
    return device.type == "cpu" and not (recipe.imports or recipe.training.compile_blocks)


def _command(folder: Path, cache_folder: Path | None) -> str:
    """Returns what a user types to run the cell by itself."""
    words = ["chiasm", "study", "cell", str(folder)]
    return shlex.join(words + (["--cache", str(cache_folder)] if cache_folder else []))


def _listen(folders: SimpleQueue[Path]) -> None:
    rest = b""
    while read := os.read(0, 1 << 16):  # no buffer of Python's, which would be locked at the end
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            folders.put(Path(json.loads(line)))
    os.kill(os.getpid(), signal.SIGTERM)
