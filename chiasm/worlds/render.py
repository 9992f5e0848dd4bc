"""Worlds: frames and ground truth, rendered once by a pool of processes and kept.

A world's folder is named by a hash of what its images depend on: the settings, the split, the
engine's version and the code of this folder.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import vizdoom

from chiasm.documents import Split
from chiasm.worlds import world as world_module
from chiasm.worlds.cache import MapCount, ProgressCallback, ensure_rendered, join_lines, run_workers
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.silence import refuse_silence
from chiasm.worlds.sounds import PERIOD_SAMPLES
from chiasm.worlds.world import SOUNDS, World

VIEW_BYTES = 500
"""Approximate size on disk of the ground truth of one frame."""
_SOUND_SHAPE = (2, PERIOD_SAMPLES)
_CODE = (
    "maps.py",
    "sounds.py",
    "pwad.py",
    "engine.py",
    "hearing.py",
    "truth.py",
    "walks.py",
    "worker.py",
    "settings.py",
    "world.py",
)


def render_worlds(
    settings: WorldSettings,
    split: Split,
    cache_folder: Path,
    *,
    progress: ProgressCallback | None = None,
    num_processes: int = 2,
) -> World:
    """Returns the split's world from the cache, rendering it first where it is missing.

    ``progress`` is called with (maps done, all maps) from the first to the last, also when the
    cache holds them all. The result does not depend on ``num_processes``.

    Raises:
        UserError: the cache cannot be written, or the engine of a world with sounds is silent.
    """
    folder = Path(cache_folder) / f"world-{split.value}-{fingerprint(settings, split)}"
    maps = MapCount(settings.num_maps(split), progress)
    num_frames = settings.num_maps(split) * settings.frames_per_map

    def render(aside: Path) -> None:
        (aside / "settings.json").write_text(
            json.dumps({"settings": settings.model_dump(mode="json"), "split": split.value})
        )
        _allocate(aside / "frames.npy", np.uint8, (num_frames, *settings.frame_shape))
        if settings.sounds:
            refuse_silence()
            _allocate(aside / SOUNDS, np.int16, (num_frames, *_SOUND_SHAPE))
        archives = settings.num_archives(split)
        run_workers("chiasm.worlds.worker", aside, archives, maps.one, num_processes)
        join_lines(aside, "views-*.jsonl", "views.jsonl")

    sound_bytes = 2 * math.prod(_SOUND_SHAPE) if settings.sounds else 0
    needed_bytes = num_frames * (math.prod(settings.frame_shape) + VIEW_BYTES + sound_bytes)
    ensure_rendered(folder, f"{split.value} world", needed_bytes, render, maps.all)
    return World(folder, settings, split)


def _allocate(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """Writes an array that processes fill together."""
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()


def fingerprint(settings: WorldSettings, split: Split) -> str:
    """Returns 16 hexadecimal digits that identify all that a world's files depend on."""
    return digest(settings.rendering(split), split)


def digest(settings: Mapping[str, object], split: Split, further_code: Sequence[Path] = ()) -> str:
    """Returns the same for anything rendered by the code of a world and some further files."""
    code = hashlib.sha256()
    folder = Path(world_module.__file__).parent
    for path in (*(folder / name for name in _CODE), *further_code):
        code.update(path.read_bytes())
    relevant = {
        "settings": settings,
        "split": split.value,
        "vizdoom": vizdoom.__version__,
        "code": code.hexdigest(),
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]
