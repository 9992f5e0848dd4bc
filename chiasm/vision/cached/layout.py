"""Where a run's latents lie: those of one tokenizer in the folder itself, of a pair in two below.

    latents/context/    context pictures, by the tokenizer of context pictures
    latents/target/     target pictures, by that of targets

Each is a whole folder of one tokenizer. A picture that plays both parts is in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from chiasm.data.pictures import PictureReader
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.latents import CachedLatents


@dataclass(frozen=True)
class Place:
    """The folder of one tokenizer's latents."""

    folder: Path
    tokenizer: Tokenizer
    parts: frozenset[bool]
    """The parts that its pictures play, as ``Image.target`` says."""


def latent_places(folder: Path, tokenizer: Tokenizer, setting: str) -> list[Place]:
    """Where a run's tokenizer, or each of two, has its latents, whether they are there yet or not.

    Args:
        setting: what named the folder, ``latents`` or ``--out``.

    Raises:
        UserError: the folder holds the latents of one tokenizer where the run has two, or of two
            where it has one.
    """
    pair = tokenizer.context is not None
    context_folder, target_folder = folder / "context", folder / "target"
    if any(map(_holds_latents, [folder] if pair else [context_folder, target_folder])):
        there, here = ("one tokenizer", "two") if pair else ("two tokenizers", "one")
        raise UserError(
            f"holds the latents of {there}, and the recipe has {here} (kind = 'dual' is two)",
            setting=setting,
            value=str(folder),
            remedy="encode with this recipe into another folder (chiasm vision encode), or set the "
            "tokenizer's settings that it was made with",
        )
    if not pair:
        return [Place(folder, tokenizer, frozenset({False, True}))]
    target, context = tokenizer.parts
    return [
        Place(context_folder, context, frozenset({False})),
        Place(target_folder, target, frozenset({True})),
    ]


def open_latents(folder: Path, tokenizer: Tokenizer) -> PictureReader:
    """Reads each picture's latents, by the tokenizer of the part that it plays.

    Args:
        folder: what the setting ``latents`` names.
        tokenizer: the run's.

    Raises:
        UserError: no latents, those of other settings, or some that are missing or damaged.
    """
    places = latent_places(folder, tokenizer, "latents")
    missing = [place.folder.name for place in places if not _holds_latents(place.folder)]
    if missing and tokenizer.context is not None:
        raise UserError(
            f"lacks the latents of {' and '.join(missing)} pictures",
            setting="latents",
            value=str(folder),
            remedy=f"make them with chiasm vision encode RECIPE --out {folder}, which goes on "
            "where it was stopped",
        )
    caches: dict[bool, CachedLatents] = {}
    for place in places:
        caches |= dict.fromkeys(place.parts, CachedLatents(place.folder, place.tokenizer))

    def read(image: Image) -> Tensor:
        return caches[image.target].read(image)

    return read


def _holds_latents(folder: Path) -> bool:
    return any(folder.glob("rank-?????-of-?????.json"))
