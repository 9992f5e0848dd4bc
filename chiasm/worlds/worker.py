"""A rendering process: ``python -m chiasm.worlds.worker FOLDER WORKER NUM_WORKERS``.

It renders every NUM_WORKERS-th archive of the world described in FOLDER/settings.json into its
place in FOLDER/frames.npy and prints a line for each map.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from chiasm.documents import Split
from chiasm.poses import Pose
from chiasm.worlds.engine import Engine, scaled
from chiasm.worlds.hearing import hearing_of
from chiasm.worlds.maps import UNITS_PER_METRE, Map, generate_map
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.settings import WorldSettings, map_seed
from chiasm.worlds.truth import View, cast, view_of
from chiasm.worlds.walks import draw_views, draw_walk
from chiasm.worlds.world import SOUNDS, view_to_json


def render_archive(folder: Path, settings: WorldSettings, split: Split, archive: int) -> None:
    """Renders the maps of one archive; what an engine shows depends on its archive alone."""
    frames = np.load(folder / "frames.npy", mmap_mode="r+")
    sounds = np.load(folder / SOUNDS, mmap_mode="r+") if settings.sounds else None
    first = archive * MAPS_PER_ARCHIVE
    numbers = range(first, min(first + MAPS_PER_ARCHIVE, settings.num_maps(split)))
    maps = [generate_map(settings.seed, map_seed(split, number)) for number in numbers]
    views = folder / f"views-{archive:06d}.jsonl"
    with views.open("w") as file, Engine(maps, sounds=settings.sounds) as engine:
        for place, (number, world_map) in enumerate(zip(numbers, maps, strict=True)):
            engine.open_map(place)
            row = number * settings.frames_per_map
            for pose in poses(world_map, settings):
                frames[row], view = take(engine, world_map, pose, settings.image_pixels)
                if sounds is not None:
                    sounds[row] = engine.listen()
                    view = replace(view, hearing=hearing_of(world_map, view.pose))
                file.write(view_to_json(view) + "\n")
                row += 1
            print("map", flush=True)
    for array in (frames, sounds):
        if isinstance(array, np.memmap):
            array.flush()


def poses(world_map: Map, settings: WorldSettings) -> list[Pose]:
    """Returns the poses of a map's images: still views, then walks."""
    rng = np.random.default_rng([settings.seed, world_map.seed, 2])
    drawn = draw_views(world_map, settings.views_per_map, rng)
    for _ in range(settings.walks_per_map):
        drawn += draw_walk(world_map, settings.frames_per_walk, rng)
    return drawn


def take(engine: Engine, world_map: Map, pose: Pose, image_pixels: int) -> tuple[np.ndarray, View]:
    """Returns one image, uint8 [image_pixels, image_pixels, 3], and its truth at the pose taken."""
    shot = engine.shoot(
        pose.x_metres * UNITS_PER_METRE, pose.y_metres * UNITS_PER_METRE, pose.yaw_degrees
    )
    taken = Pose(shot.x / UNITS_PER_METRE, shot.y / UNITS_PER_METRE, round(shot.yaw_degrees, 3))
    surfaces = cast(world_map, shot.x, shot.y, shot.yaw_degrees)
    return scaled(shot.square, image_pixels), view_of(world_map, taken, surfaces, shot.labels)


def main() -> None:
    folder, worker, num_workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    description = json.loads((folder / "settings.json").read_text())
    settings = WorldSettings(**description["settings"])
    split = Split(description["split"])
    for archive in range(worker, settings.num_archives(split), num_workers):
        render_archive(folder, settings, split, archive)


if __name__ == "__main__":
    main()
