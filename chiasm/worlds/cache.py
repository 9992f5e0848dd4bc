"""Rendered folders on disk: written aside and renamed, with checksums, shared by all runs.

A folder's manifest holds each file's checksum, so a half-written or damaged folder is noticed and
rendered again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from chiasm.errors import UserError
from chiasm.whole import sha256_of, whole

ProgressCallback = Callable[[int, int], None]
_log = logging.getLogger(__name__)


def ensure_rendered(
    folder: Path,
    what: str,
    needed_bytes: int,
    render: Callable[[Path], None],
    found: Callable[[], None],
) -> None:
    """Makes ``render`` fill the folder, written aside first; calls ``found`` if it is there.

    Args:
        folder: in the cache, named by a hash of all that its files depend on.
        what: name of the content in messages: ``train world``.
        needed_bytes: space that it takes on the disk.
        render: receives an empty folder.
        found: called instead where the cache has the folder undamaged.

    Raises:
        UserError: the cache cannot be written, or the disk is too small.
    """
    try:
        with _locked(folder):
            problem = _problem(folder)
            if problem is None:
                found()
                return
            if folder.exists():
                _log.warning("cached %s is damaged (%s): rendering it again", folder, problem)
            _refuse_full_disk(folder, what, needed_bytes)
            with whole(folder) as aside:
                aside.mkdir()
                render(aside)
                checksums = {p.name: sha256_of(p) for p in sorted(aside.iterdir())}
                (aside / "manifest.json").write_text(json.dumps({"checksums": checksums}, indent=1))
    except OSError as error:
        raise UserError(
            f"cache folder {folder.parent} cannot be written ({error}): free some space or "
            "choose another cache folder"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder: of two runs that need one world, the second waits for the first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _problem(folder: Path) -> str | None:
    """Returns what is wrong with a cached folder, or None."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, checksum in manifest["checksums"].items():
            if sha256_of(folder / name) != checksum:
                return f"{name} does not match its checksum"
    except (OSError, ValueError, KeyError) as error:
        return f"manifest or file unreadable: {error}"
    return None


def _refuse_full_disk(folder: Path, what: str, needed_bytes: int) -> None:
    """Refuses a disk with too little space, before any work.

    Writing to a mapped file on a full disk would kill the process.
    """
    free_bytes = shutil.disk_usage(folder.parent).free
    if free_bytes < needed_bytes:
        raise UserError(
            f"the {what} needs {needed_bytes / 1e6:.0f} MB, but {folder.parent} has "
            f"{free_bytes / 1e6:.0f} MB left: free some space or choose another cache folder"
        )


def run_workers(
    module: str, aside: Path, num_archives: int, map_done: Callable[[], None], num_processes: int
) -> None:
    """Runs workers, each on every n-th archive; calls ``map_done`` for each map that they report.

    They are programs of their own, not forks of this one: this works whatever threads this process
    runs, and needs no guard in the caller's script.
    """
    num_processes = max(1, min(num_processes, num_archives))
    lock = Lock()

    def run(worker: int) -> None:
        command = [sys.executable, "-m", module, str(aside), str(worker), str(num_processes)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.strip() == "map":
                    with lock:
                        map_done()
            errors = process.stderr.read()
        if process.returncode:
            raise RuntimeError(f"a rendering process failed:\n{errors}")

    with ThreadPoolExecutor(num_processes) as pool:
        list(pool.map(run, range(num_processes)))


class MapCount:
    """Counts finished maps and reports each to ``progress``."""

    def __init__(self, num_maps: int, progress: ProgressCallback | None) -> None:
        self._done, self._num_maps, self._progress = 0, num_maps, progress

    def one(self) -> None:
        """Counts one more map."""
        self._tell(self._done + 1)

    def all(self) -> None:
        """Reports that all maps were in the cache."""
        self._tell(self._num_maps)

    def _tell(self, done: int) -> None:
        self._done = done
        if self._progress:
            self._progress(done, self._num_maps)


def join_lines(aside: Path, pattern: str, name: str) -> None:
    """Concatenates the files that match ``pattern`` into ``name``, and removes them."""
    with (aside / name).open("wb") as joined:
        for part in sorted(aside.glob(pattern)):
            joined.write(part.read_bytes())
            part.unlink()
