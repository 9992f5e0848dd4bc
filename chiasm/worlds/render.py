"""Worlds on disk: frames and ground truth, rendered once by a pool of processes and kept.

A world's folder is named by a hash of what its pictures depend on: the settings, the split, the
engine's version and the code of this folder. It is written aside and renamed; its manifest holds
each file's checksum, so a half-written or damaged folder is noticed and rendered again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import vizdoom

from chiasm.errors import UserError
from chiasm.worlds import world as world_module
from chiasm.worlds.world import Split, World, WorldSettings

Progress = Callable[[int, int], None]
_CODE = ("maps.py", "pwad.py", "engine.py", "truth.py", "walks.py", "worker.py", "world.py")
_log = logging.getLogger(__name__)


def render_worlds(
    settings: WorldSettings,
    split: Split,
    cache_folder: Path,
    *,
    progress: Progress | None = None,
    num_processes: int = 2,
) -> World:
    """Open the split's world from the cache, rendering it first where it is missing.

    ``progress`` is called with (maps done, all maps) from the first to the last, also when the
    cache holds them all. The result does not depend on ``num_processes``.

    Raises:
        UserError: the cache cannot be written.
    """
    folder = Path(cache_folder) / f"world-{split.value}-{fingerprint(settings, split)}"
    try:
        with _locked(folder):
            _ensure_rendered(settings, split, folder, progress, num_processes)
    except OSError as error:
        raise UserError(
            f"cache folder {cache_folder} cannot be written ({error}): free some space or "
            "choose another cache folder"
        ) from error
    return World(folder, settings, split)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two runs that want the same world at once: the second waits for the first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_rendered(
    settings: WorldSettings,
    split: Split,
    folder: Path,
    progress: Progress | None,
    num_processes: int,
) -> None:
    problem = _problem(folder)
    if problem is None:
        if progress:
            progress(settings.num_maps(split), settings.num_maps(split))
        return
    if folder.exists():
        _log.warning("cached world %s is damaged (%s): rendering it again", folder, problem)
    _refuse_full_disk(settings, split, folder)
    _render_aside(settings, split, folder, progress, num_processes)


def _refuse_full_disk(settings: WorldSettings, split: Split, folder: Path) -> None:
    """Before any work: writing to a mapped file on a full disk would kill the process."""
    frame_bytes = math.prod(settings.frame_shape) + 500  # and its truth
    needed_bytes = settings.num_maps(split) * settings.frames_per_map * frame_bytes
    free_bytes = shutil.disk_usage(folder.parent).free
    if free_bytes < needed_bytes:
        raise UserError(
            f"the {split.value} world needs {needed_bytes / 1e6:.0f} MB, but {folder.parent} has "
            f"{free_bytes / 1e6:.0f} MB left: free some space or choose another cache folder"
        )


def fingerprint(settings: WorldSettings, split: Split) -> str:
    """16 hexadecimal digits for all that a world's files depend on."""
    code = hashlib.sha256()
    for name in _CODE:
        code.update(Path(world_module.__file__).with_name(name).read_bytes())
    relevant = {
        "settings": settings.rendering(split),
        "split": split.value,
        "vizdoom": vizdoom.__version__,
        "code": code.hexdigest(),
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def _problem(folder: Path) -> str | None:
    """What is wrong with a cached world, or None."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, checksum in manifest["checksums"].items():
            if _checksum(folder / name) != checksum:
                return f"{name} does not match its checksum"
    except (OSError, ValueError, KeyError) as error:
        return f"manifest or file unreadable: {error}"
    return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _render_aside(
    settings: WorldSettings,
    split: Split,
    folder: Path,
    progress: Progress | None,
    num_processes: int,
) -> None:
    """Render into a folder beside the final one, then rename it."""
    aside = folder.with_name(f"{folder.name}.partial")
    for stale in (aside, folder):
        shutil.rmtree(stale, ignore_errors=True)
    aside.mkdir(parents=True)
    (aside / "settings.json").write_text(
        json.dumps({"settings": settings.model_dump(mode="json"), "split": split.value})
    )
    num_maps = settings.num_maps(split)
    np.lib.format.open_memmap(
        aside / "frames.npy",
        mode="w+",
        dtype=np.uint8,
        shape=(num_maps * settings.frames_per_map, *settings.frame_shape),
    ).flush()
    _run_workers(aside, num_maps, settings.num_archives(split), progress, num_processes)
    with (aside / "views.jsonl").open("wb") as joined:
        for part in sorted(aside.glob("views-*.jsonl")):
            joined.write(part.read_bytes())
            part.unlink()
    checksums = {p.name: _checksum(p) for p in sorted(aside.iterdir())}
    (aside / "manifest.json").write_text(json.dumps({"checksums": checksums}, indent=1))
    aside.rename(folder)


def _run_workers(
    aside: Path, num_maps: int, num_archives: int, progress: Progress | None, num_processes: int
) -> None:
    """Start the workers, each on every n-th archive, and count the maps that they report.

    They are programs of their own, not forks of this one: that holds whatever threads this
    process runs, and needs no guard in the caller's script.
    """
    num_processes = max(1, min(num_processes, num_archives))
    done, lock = 0, Lock()

    def run(worker: int) -> None:
        nonlocal done
        command = [sys.executable, "-m", "chiasm.worlds.worker", str(aside)]
        command += [str(worker), str(num_processes)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.strip() != "map":
                    continue
                with lock:
                    done += 1
                    if progress:
                        progress(done, num_maps)
            errors = process.stderr.read()
        if process.returncode:
            raise RuntimeError(f"a rendering process failed:\n{errors}")

    with ThreadPoolExecutor(num_processes) as pool:
        list(pool.map(run, range(num_processes)))
