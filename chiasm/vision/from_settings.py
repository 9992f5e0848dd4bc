"""``chiasm vision train``: a tokenizer from a recipe that names its data."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from chiasm.data.sources import SourceSettings, build_sources
from chiasm.vision.fit import Progress
from chiasm.vision.pictures import Pictures, pictures_of_source
from chiasm.vision.rae import RaeTokenizer
from chiasm.vision.training import RaeSettings, train_tokenizer
from chiasm.vision.world_pictures import pictures_of_world
from chiasm.worlds import Split, WorldSettings, render_worlds


class VisionTrainingSettings(RaeSettings):
    """A recipe of ``chiasm vision train``."""

    source: SourceSettings = SourceSettings(kind="world", task="image_text")
    """The captioned pictures: the embedded world with its ground truth, or ``image_text`` files."""
    world: WorldSettings = WorldSettings()
    """The embedded world, for a source of kind ``world``; its held-out maps give the figures."""
    render_processes: int = Field(default=2, ge=1)
    """Processes that render the world."""


def train_from_settings(
    settings: VisionTrainingSettings,
    out: Path,
    *,
    cache_folder: Path,
    progress: Progress | None = None,
    command: str = "",
) -> RaeTokenizer:
    """Train the tokenizer that a recipe describes into the folder ``out``, or go on training it.

    Args:
        settings: the recipe.
        out: gets ``vision.safetensors`` and ``vision.json``.
        cache_folder: where rendered worlds are kept.
        progress: called with (stage, done, in all, latest losses); rendering is a stage too.
        command: what the user typed, for the record.

    Raises:
        UserError: data that cannot be read, a folder of other settings, training that diverges.
    """
    train, held_out = (
        _pictures(settings, split, cache_folder, progress)
        for split in (Split.TRAIN, Split.HELD_OUT)
    )
    return train_tokenizer(settings, train, held_out, out, progress=progress, command=command)


def _pictures(
    settings: VisionTrainingSettings, split: Split, cache_folder: Path, progress: Progress | None
) -> Pictures:
    if settings.source.kind == "world":

        def rendered(done: int, total: int) -> None:
            if progress is not None:
                progress(f"{split.value} maps", done, total, {})

        world = render_worlds(
            settings.world,
            split,
            cache_folder,
            progress=rendered,
            num_processes=settings.render_processes,
        )
        return pictures_of_world(world, clear_only=split is Split.HELD_OUT)
    source = build_sources({"pictures": settings.source}, split, row_positions=1)["pictures"]
    data = f"{settings.source.path} ({split.value}, {len(source)} documents)"
    return pictures_of_source(source, settings.encoder.image_pixels, data=data)
