"""``chiasm vision train``: a tokenizer from a recipe that names its data."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field

from chiasm.data.source import Opened, SourceSettings
from chiasm.data.sources import open_pictures, open_sources
from chiasm.errors import UserError, setting, settings_of
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.fit import Progress
from chiasm.vision.learning.frechet import FeatureNetwork
from chiasm.vision.learning.pictures import Pictures, pictures_of_source
from chiasm.vision.learning.settings import TokenizerTrainingSettings, picture_shape
from chiasm.vision.learning.training import train_tokenizer
from chiasm.vision.learning.world_pictures import pictures_of_world
from chiasm.worlds import Split, WorldSettings, render_worlds


class VisionTrainingSettings(TokenizerTrainingSettings):
    """A recipe of ``chiasm vision train``."""

    source: SourceSettings = SourceSettings(kind="world", task="image_text")
    """The pictures: the embedded world with its ground truth, or ``image_text`` files; where the
    settings read no captions, a folder of pictures will do."""
    world: WorldSettings = WorldSettings()
    """The embedded world, for a source of kind ``world``; its held-out maps give the figures."""
    render_processes: int = Field(default=2, ge=1)
    """Processes that render the world."""


def train_from_settings(
    settings: VisionTrainingSettings,
    out: Path,
    *,
    cache_folder: Path,
    inception: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    command: str = "",
) -> Tokenizer:
    """Train the tokenizer that a recipe describes into the folder ``out``, or go on training it.

    Args:
        settings: the recipe.
        out: gets ``weights.safetensors`` and ``description.json``.
        cache_folder: where rendered worlds are kept.
        inception: a TorchScript module (:class:`~chiasm.vision.learning.frechet.FeatureNetwork`),
            for rFID.
        progress: called with (stage, done, in all, latest losses); rendering is a stage too.
        command: what the user typed, for the record.

    Raises:
        UserError: data that cannot be read, a folder of other settings, training that diverges.
    """
    network = None if inception is None else FeatureNetwork(inception, device)
    frozen = None
    if settings.frozen is not None:
        with settings_of("frozen"):
            frozen = open_tokenizer(settings.frozen)
    pixels = picture_shape(settings, frozen).height_pixels
    if settings.source.kind == "world" and settings.world.image_pixels != pixels:
        raise UserError(
            f", but {setting('world.image_pixels')} = {settings.world.image_pixels}",
            setting=settings.size_setting,
            value=pixels,
            remedy="make them equal",
        )
    opened = None if settings.source.kind == "world" else _opened(settings)
    train, held_out = (
        _pictures(settings, opened, pixels, split, cache_folder, progress)
        for split in (Split.TRAIN, Split.HELD_OUT)
    )
    return train_tokenizer(
        settings,
        train,
        held_out,
        out,
        frozen=frozen,
        network=network,
        device=device,
        progress=progress,
        command=command,
    )


def _pictures(
    settings: VisionTrainingSettings,
    opened: Opened | None,
    pixels: int,
    split: Split,
    cache_folder: Path,
    progress: Progress | None,
) -> Pictures:
    if opened is None:

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
    source = opened.side(split)
    data = f"{settings.source.path} ({split.value}, {len(source)} documents)"
    pictures = pictures_of_source(source, pixels, data=data, captioned=settings.reads_captions)
    if pictures.unreadable and progress is not None:
        left_out = f"{split.value}: {len(pictures.unreadable)} pictures cannot be decoded, among "
        progress(f"{left_out}them {pictures.unreadable[0]}", 1, 1, {})
    return pictures


def _opened(settings: VisionTrainingSettings) -> Opened:
    try:
        if settings.reads_captions:
            return open_sources({"pictures": settings.source}, row_positions=1)["pictures"]
        return open_pictures("pictures", settings.source)
    except UserError as error:  # it takes the source for one of a run
        raise UserError(str(error).replace("stream.sources.pictures.", "source.")) from error
