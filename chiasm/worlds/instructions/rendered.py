"""The rendered walks of one split: frames, ground truth and goals on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiasm.documents import Split
from chiasm.worlds.cache import MapCount, ProgressCallback, ensure_rendered, join_lines, run_workers
from chiasm.worlds.instructions.goals import Goal
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.render import VIEW_BYTES, digest
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.world import view_from_json

_CODE = ("settings.py", "goals.py", "ground.py", "expert.py", "walks.py", "worker.py")


@dataclass(frozen=True, slots=True)
class RenderedWalk:
    """A goal and the numbers of the frames on the way; their poses are those of ``views``."""

    goal: Goal
    frames: range
    map_seed: int

    @property
    def num_steps(self) -> int:
        """Number of steps from the first frame to the last."""
        return len(self.frames) - 1


class InstructedWalks:
    """Frames and ground truth of one split; frames stay on disk, and are views of the file."""

    def __init__(
        self, folder: Path, world: WorldSettings, settings: InstructionSettings, split: Split
    ) -> None:
        self.folder = folder
        self.world_settings = world
        self.settings = settings
        self.split = split
        self.frames = np.load(folder / "frames.npy", mmap_mode="r")  # uint8 [M, side, side, 3]
        with (folder / "views.jsonl").open() as lines:
            self.views = [view_from_json(line) for line in lines]
        self.walks: list[RenderedWalk] = []
        first = 0
        with (folder / "walks.jsonl").open() as lines:
            for fields in map(json.loads, lines):
                frames = range(first, first + fields["num_frames"])
                seed = self.views[first].map_seed
                self.walks.append(RenderedWalk(Goal(**fields["goal"]), frames, seed))
                first = frames.stop

    def __reduce__(
        self,
    ) -> tuple[type[InstructedWalks], tuple[Path, WorldSettings, InstructionSettings, Split]]:
        """Returns what another process needs to open the same files instead of receiving a copy."""
        return InstructedWalks, (self.folder, self.world_settings, self.settings, self.split)

    def __len__(self) -> int:
        return len(self.walks)


def render_instructions(
    world: WorldSettings,
    settings: InstructionSettings,
    split: Split,
    cache_folder: Path,
    *,
    progress: ProgressCallback | None = None,
    num_processes: int = 2,
) -> InstructedWalks:
    """Returns the split's instructed walks from the cache, rendering them first where missing.

    They lead through the same maps as the world of these settings, and lie in a folder of their
    own: a world's files do not depend on them. ``progress`` and ``num_processes`` are those of
    :func:`~chiasm.worlds.render.render_worlds`.

    Raises:
        UserError: the cache cannot be written.
    """
    content = {
        "seed": world.seed,
        "maps": world.num_maps(split),
        "image_pixels": world.image_pixels,
        "instructions": settings.model_dump(mode="json", exclude={"views"}),
    }
    code = [Path(__file__).with_name(name) for name in _CODE]
    name = f"instructions-{split.value}-{digest(content, split, code)}"
    maps = MapCount(world.num_maps(split), progress)

    def render(aside: Path) -> None:
        description = {
            "world": world.model_dump(mode="json"),
            "instructions": settings.model_dump(mode="json"),
            "split": split.value,
        }
        (aside / "settings.json").write_text(json.dumps(description))
        module = "chiasm.worlds.instructions.worker"
        run_workers(module, aside, world.num_archives(split), maps.one, num_processes)
        join_lines(aside, "views-*.jsonl", "views.jsonl")
        join_lines(aside, "walks-*.jsonl", "walks.jsonl")
        _join_frames(aside)

    most_frames = world.num_maps(split) * settings.walks_per_map * (settings.steps[1] + 1)
    # The workers' files stand beside the one that they are joined into.
    needed_bytes = most_frames * (2 * world.image_pixels**2 * 3 + VIEW_BYTES)
    folder = Path(cache_folder) / name
    what = f"{split.value} instructions"
    ensure_rendered(folder, what, needed_bytes, render, maps.all)
    return InstructedWalks(folder, world, settings, split)


def _join_frames(aside: Path) -> None:
    paths = sorted(aside.glob("frames-*.npy"))
    parts = [np.load(path, mmap_mode="r") for path in paths]
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    joined = np.lib.format.open_memmap(aside / "frames.npy", mode="w+", dtype=np.uint8, shape=shape)
    first = 0
    for path, part in zip(paths, parts, strict=True):
        joined[first : first + len(part)] = part
        first += len(part)
        path.unlink()
    joined.flush()
