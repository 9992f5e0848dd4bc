"""From a recipe to the pictures of its sources, and to the walks that were held out."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from chiasm.assembly.objects import open_material
from chiasm.assembly.preparation import Stage, default_cache_folder, silent
from chiasm.data.navigation import TrajectorySource
from chiasm.data.sources import build_sources
from chiasm.documents import ActionVideos
from chiasm.recipe import Recipe
from chiasm.vision.cached.gallery import Gallery, gallery_of
from chiasm.worlds import Split, World, render_worlds


def open_gallery(
    recipe: Recipe,
    *splits: Split,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
) -> Gallery:
    """All pictures that the recipe's sources show in these splits; sources of text are not opened.

    Raises:
        UserError: no source has pictures, or one cannot be opened.
    """
    showing = {
        name: source
        for name, source in recipe.stream.sources.items()
        if source.kind != "text" and source.task != "text"
    }
    if not showing:
        raise recipe.error(
            "stream.sources",
            "has no source with pictures",
            "name one of kind image_text, vqa, trajectories or world",
        )
    stream = recipe.stream.model_copy(update={"sources": showing})
    material = open_material(recipe.model_copy(update={"stream": stream}), cache_folder, on_stage)
    of_split = {Split.TRAIN: material.train, Split.HELD_OUT: material.held_out}
    return gallery_of(
        {f"{split.value} {name}": s for split in splits for name, s in of_split[split].items()}
    )


def open_held_out_walks(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> tuple[World | None, dict[str, ActionVideos]]:
    """The held-out maps, where any source shows them, and the recorded walks of each source.

    Raises:
        UserError: a recording that cannot be opened, or a cache that cannot be written.
    """
    sources = recipe.stream.sources
    recorded = {name: source for name, source in sources.items() if source.kind == "trajectories"}
    rows = recipe.stream.row_positions
    opened = build_sources(recorded, Split.HELD_OUT, rows, actions=recipe.actions)
    walks: dict[str, ActionVideos] = {
        name: source for name, source in opened.items() if isinstance(source, TrajectorySource)
    }
    if all(source.kind != "world" for source in sources.values()):
        return None, walks
    world = render_worlds(
        recipe.world,
        Split.HELD_OUT,
        (cache_folder or default_cache_folder()) / "worlds",
        progress=partial(on_stage, "held-out worlds"),
        num_processes=os.cpu_count() or 1,
    )
    return world, walks
