"""The vision tokenizer that a recipe names; trained first if the recipe asks for it.

A trained one is kept in the cache under the hash of its settings and files: runs that ask for the
same share it, and other settings or other files train another.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Mapping
from pathlib import Path

from chiasm.batch.streams import IMAGE
from chiasm.data.fingerprint import fingerprint
from chiasm.data.preparation import Stage, default_cache_folder, silent
from chiasm.device import choose_device
from chiasm.errors import UserError, settings_of
from chiasm.recipe import Recipe
from chiasm.tokenizers.settings import TokenizerSettings, open_tokenizer
from chiasm.tokenizers.storage import DESCRIPTION
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.learning.from_settings import train_from_settings
from chiasm.vision.learning.settings import NOT_LEARNED, VisionTrainingSettings
from chiasm.vision.trained import TrainedSettings

HASH_CHARACTERS = 12


def open_tokenizers(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> StreamTokenizers:
    """Returns the tokenizers of the recipe's streams.

    Args:
        recipe: with ``vision_training``, the tokenizer of images is trained by it unless the cache
            has it.
        cache_folder: where rendered worlds and trained tokenizers are kept.
        on_stage: callback for the progress of a training.

    Raises:
        UserError: there is no such tokenizer, it cannot be trained, or settings name two.
    """
    streams = dict(recipe.streams)
    if recipe.vision_training is not None:
        streams[IMAGE] = _trained(recipe, recipe.vision_training, cache_folder, on_stage)
    opened = {}
    for name, settings in streams.items():
        with settings_of(f"streams.{name}"):
            opened[name] = open_tokenizer(settings)
    return StreamTokenizers(opened, context_of(recipe))


def context_of(recipe: Recipe) -> dict[str, str]:
    """Returns, for each stream, the one whose context it reads instead, or ""."""
    return {name: own.context_of for name, own in recipe.streams.items()}


def _trained(
    recipe: Recipe,
    training: VisionTrainingSettings,
    cache_folder: Path | None,
    on_stage: Stage,
) -> TokenizerSettings:
    """Returns the settings of the image stream; trains its tokenizer if the cache lacks it."""
    cache_folder = cache_folder or default_cache_folder()
    folder = cache_folder / "tokenizers" / _key(training)
    if IMAGE not in recipe.streams:
        raise UserError(
            "makes a tokenizer of pictures",
            setting="vision_training",
            remedy=f"name a stream for it, [streams.{IMAGE}], or leave vision_training out",
        )
    with settings_of(f"streams.{IMAGE}"):
        settings = _placed(recipe.streams[IMAGE], training, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be training it
        if (folder / DESCRIPTION).exists():
            on_stage(f"vision tokenizer {folder.name}, from the cache", 1, 1)
        else:
            _train(training, folder, cache_folder, recipe.training.device, on_stage)
    return settings


def _train(
    training: VisionTrainingSettings, folder: Path, cache_folder: Path, device: str, on_stage: Stage
) -> None:
    def progress(stage: str, done: int, of: int, losses: Mapping[str, float]) -> None:
        on_stage(f"vision tokenizer, {stage}", done, of)

    with settings_of("vision_training"):
        train_from_settings(
            training,
            folder,
            cache_folder=cache_folder,
            device=choose_device(device),
            progress=progress,
            tell=lambda line: on_stage(line, 1, 1),
        )


def _placed(
    settings: TokenizerSettings, training: VisionTrainingSettings, folder: Path
) -> TokenizerSettings:
    """Returns the settings with the path of the trained tokenizer's folder.

    Raises:
        UserError: they name another one there, or ask for pictures that it does not take.
    """
    if not isinstance(settings, TrainedSettings) or settings.kind != training.kind:
        raise UserError(
            f", but vision_training makes a tokenizer of kind {training.kind!r}",
            setting="kind",
            value=settings.kind,
            remedy="make them equal, or leave vision_training out",
        )
    if settings.path != type(settings).model_fields["path"].default:
        raise UserError(
            "and vision_training name two tokenizers",
            setting="path",
            value=settings.path,
            remedy="leave one out",
        )
    if settings.shape == "native" and training.kind == "rae":
        raise UserError(
            ", but the encoder that vision_training makes takes squares alone",
            setting="shape",
            value=settings.shape,
            remedy="leave it out, or train a vae",
        )
    return settings.model_copy(update={"path": str(folder)})


def _key(training: VisionTrainingSettings) -> str:
    """Returns the hash of all that a trained tokenizer depends on."""
    content = training.model_dump_json(exclude=NOT_LEARNED)
    content += "".join(fingerprint(path) for path in training.source.paths if path)
    return hashlib.sha256(content.encode()).hexdigest()[:HASH_CHARACTERS]
