"""The images of a recipe's sources, and the trajectories that were held out."""

from __future__ import annotations

from pathlib import Path

from chiasm.assembly.objects import open_material, opening_of
from chiasm.capabilities import ActionVideos
from chiasm.data.preparation import Stage, silent
from chiasm.documents import Split
from chiasm.recipe import Recipe
from chiasm.vision.cached.gallery import Gallery, gallery_of


def open_gallery(
    recipe: Recipe,
    *splits: Split,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
) -> Gallery:
    """Returns all images that the recipe's sources show in these splits; text sources stay closed.

    Raises:
        UserError: no source has images, or one cannot be opened.
    """
    showing = {
        name: source for name, source in recipe.stream.sources.items() if source.has_pictures
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
) -> dict[str, ActionVideos]:
    """Returns the held-out places that walks can begin in, by the source that knows them.

    Raises:
        UserError: a recording that cannot be opened, or a cache that cannot be written.
    """
    opening = opening_of(recipe, cache_folder, on_stage)
    found: dict[str, ActionVideos] = {}
    for name, source in recipe.stream.sources.items():
        views = source.open_views(name, opening)
        if views is not None and all(views is not other for other in found.values()):
            found[name] = views
    return found
