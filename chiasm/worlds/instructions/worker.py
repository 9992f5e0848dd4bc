"""A rendering process: ``python -m chiasm.worlds.instructions.worker FOLDER WORKER NUM_WORKERS``.

It plans and renders the walks of every NUM_WORKERS-th archive of maps described in
FOLDER/settings.json, into files of its own beside it, and prints a line for each map.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from chiasm.documents import Split
from chiasm.worlds.engine import Engine
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.walks import draw_walks
from chiasm.worlds.maps import generate_map
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.settings import WorldSettings, map_seed
from chiasm.worlds.worker import take
from chiasm.worlds.world import view_to_json


def render_archive(
    folder: Path,
    world: WorldSettings,
    settings: InstructionSettings,
    split: Split,
    archive: int,
) -> None:
    """Renders the walks of one archive's maps; they depend on that archive alone."""
    first = archive * MAPS_PER_ARCHIVE
    numbers = range(first, min(first + MAPS_PER_ARCHIVE, world.num_maps(split)))
    maps = [generate_map(world.seed, map_seed(split, number)) for number in numbers]
    views_path = folder / f"views-{archive:06d}.jsonl"
    walks_path = folder / f"walks-{archive:06d}.jsonl"
    frames = []
    with views_path.open("w") as views, walks_path.open("w") as walks, Engine(maps) as engine:
        for place, world_map in enumerate(maps):
            engine.open_map(place)
            for walk in draw_walks(world_map, settings, world.seed):
                line = {"goal": asdict(walk.goal), "num_frames": len(walk.poses)}
                walks.write(json.dumps(line) + "\n")
                for pose in walk.poses:
                    frame, view = take(engine, world_map, pose, world.image_pixels)
                    frames.append(frame)
                    views.write(view_to_json(view) + "\n")
            print("map", flush=True)
    np.save(folder / f"frames-{archive:06d}.npy", np.stack(frames))


def main() -> None:
    folder, worker, num_workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    description = json.loads((folder / "settings.json").read_text())
    world = WorldSettings(**description["world"])
    settings = InstructionSettings(**description["instructions"])
    split = Split(description["split"])
    for archive in range(worker, world.num_archives(split), num_workers):
        render_archive(folder, world, settings, split, archive)


if __name__ == "__main__":
    main()
