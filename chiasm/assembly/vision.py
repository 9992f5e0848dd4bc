"""The vision tokenizer that a recipe names; trained first, where the recipe says how.

A trained one is kept in the cache under the hash of its settings and files: runs that ask for the
same share it, and other settings or other files train another.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Mapping
from pathlib import Path

from chiasm.data.fingerprint import fingerprint
from chiasm.data.preparation import Stage, default_cache_folder, silent
from chiasm.device import choose_device
from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.vision.build import SHIPPED, VisionSettings, build_vision_tokenizer
from chiasm.vision.learning.from_settings import VisionTrainingSettings, train_from_settings
from chiasm.vision.storage import DESCRIPTION
from chiasm.vision.tokenizer import VisionTokenizer

HASH_CHARACTERS = 12


def open_vision(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> VisionTokenizer:
    """The recipe's tokenizer.

    Args:
        recipe: with ``vision_training``, the tokenizer, or of a pair the one of targets, is trained
            by it unless the cache has it.
        cache_folder: where rendered worlds and trained tokenizers are kept.
        on_stage: is told how far a training is.

    Raises:
        UserError: there is no such tokenizer, it cannot be trained, or settings name two.
    """
    training = recipe.vision_training
    if training is None:
        return build_vision_tokenizer(recipe.streams["image"])
    cache_folder = cache_folder or default_cache_folder()
    folder = cache_folder / "tokenizers" / _key(training)
    settings = _placed(recipe.streams["image"], training, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be training it
        if (folder / DESCRIPTION).exists():
            on_stage(f"vision tokenizer {folder.name}, from the cache", 1, 1)
        else:
            _train(training, folder, cache_folder, recipe.training.device, on_stage)
    return build_vision_tokenizer(settings)


def _train(
    training: VisionTrainingSettings, folder: Path, cache_folder: Path, device: str, tell: Stage
) -> None:
    def progress(stage: str, done: int, of: int, losses: Mapping[str, float]) -> None:
        tell(f"vision tokenizer, {stage}", done, of)

    train_from_settings(
        training,
        folder,
        cache_folder=cache_folder,
        device=choose_device(device),
        progress=progress,
    )


def _placed(
    vision: VisionSettings, training: VisionTrainingSettings, folder: Path
) -> VisionSettings:
    """The settings with the trained tokenizer's folder where it belongs.

    Raises:
        UserError: they name another one there.
    """
    where, part = (
        ("streams.image.target", vision.target) if vision.target else ("streams.image", vision)
    )
    if part.kind != training.kind:
        raise UserError(
            f"{where}.kind = {part.kind!r}, but vision_training makes a tokenizer of kind "
            f"{training.kind!r}; make them equal, or leave vision_training out"
        )
    if part.path != SHIPPED[0]:
        raise UserError(
            f"{where}.path = {part.path!r} and vision_training name two tokenizers; leave one out"
        )
    path = {"path": str(folder)}
    if vision.target:
        return vision.model_copy(update={"target": vision.target.model_copy(update=path)})
    return vision.model_copy(update=path)


def _key(training: VisionTrainingSettings) -> str:
    """The hash of all that it depends on."""
    content = training.model_dump_json(exclude={"render_processes"})
    content += "".join(fingerprint(path) for path in training.source.paths if path)
    return hashlib.sha256(content.encode()).hexdigest()[:HASH_CHARACTERS]
