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
from chiasm.vision.cached.latents import CachedLatents
from chiasm.vision.tokenizer import VisionTokenizer


@dataclass(frozen=True)
class Place:
    """The folder of one tokenizer's latents."""

    folder: Path
    tokenizer: VisionTokenizer
    parts: frozenset[bool]
    """The parts that its pictures play, as ``Image.target`` says."""


def latent_places(folder: Path, tokenizer: VisionTokenizer, setting: str) -> list[Place]:
    """Where a run's tokenizer, or each of two, has its latents, whether they are there yet or not.

    Args:
        setting: names the folder to the user, as in ``--out latents``.

    Raises:
        UserError: the folder holds the latents of one tokenizer where the run has two, or of two
            where it has one.
    """
    pair = tokenizer.context is not None
    context_folder, target_folder = folder / "context", folder / "target"
    if any(map(_holds_latents, [folder] if pair else [context_folder, target_folder])):
        there, here = ("one tokenizer", "two") if pair else ("two tokenizers", "one")
        raise UserError(
            f"{setting} holds the latents of {there}, and the recipe has {here} (streams.image.kind = "
            "'dual' is two); encode with this recipe into another folder (chiasm vision encode), "
            "or set the vision settings that it was made with"
        )
    if not pair:
        return [Place(folder, tokenizer, frozenset({False, True}))]
    target, context = tokenizer.parts
    return [
        Place(context_folder, context, frozenset({False})),
        Place(target_folder, target, frozenset({True})),
    ]


def open_latents(folder: Path, tokenizer: VisionTokenizer) -> PictureReader:
    """Reads each picture's latents, by the tokenizer of the part that it plays.

    Args:
        folder: what ``streams.image.latents`` names.
        tokenizer: the run's.

    Raises:
        UserError: no latents, those of other settings, or some that are missing or damaged.
    """
    setting = f"streams.image.latents = {str(folder)!r}"
    places = latent_places(folder, tokenizer, setting)
    missing = [place.folder.name for place in places if not _holds_latents(place.folder)]
    if missing and tokenizer.context is not None:
        raise UserError(
            f"{setting} lacks the latents of {' and '.join(missing)} pictures; make them with "
            f"chiasm vision encode RECIPE --out {folder}, which goes on where it was stopped"
        )
    caches: dict[bool, CachedLatents] = {}
    for place in places:
        caches |= dict.fromkeys(place.parts, CachedLatents(place.folder, place.tokenizer))

    def read(image: Image) -> Tensor:
        return caches[image.target].read(image)

    return read


def _holds_latents(folder: Path) -> bool:
    return any(folder.glob("rank-?????-of-?????.json"))
