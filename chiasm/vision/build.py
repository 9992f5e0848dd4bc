"""A run's vision tokenizer from its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import UserError
from chiasm.settings import Settings
from chiasm.vision.pixels import PixelTokenizer
from chiasm.vision.published.checkpoint import CONFIG
from chiasm.vision.published.reference import open_published
from chiasm.vision.published.tokenizer import Published
from chiasm.vision.statistics import read_statistics
from chiasm.vision.storage import DESCRIPTION, load_tokenizer
from chiasm.vision.tokenizer import VisionTokenizer

SHIPPED = ("embedded-world",)
"""Names of the tokenizers that the package carries."""

PIXELS = 64
"""Side of the pictures of kind ``pixels`` unless settings say otherwise."""

PATCH_PIXELS = 8
"""Side of its patches, likewise."""


_SETTING = re.compile(
    r"\bstreams\.image\.(kind|path|decoder|layer|image_pixels|patch_pixels|statistics)\b"
)


class VisionTokenizerSettings(Settings):
    """Which vision tokenizer reads pictures."""

    kind: Literal["pixels", "rae", "vae"] = "rae"
    """``pixels``: patches, nothing learned. ``rae``: a frozen vision model, with a decoder of its
    features. ``vae``: a variational autoencoder."""
    path: str = "embedded-world"
    """For ``rae`` and ``vae``: the tokenizer that the package carries; a folder of chiasm vision
    train, which says itself what it is, whatever ``kind`` says; or a published model, as a folder
    or an id of the hub."""
    decoder: str | None = None
    """For ``rae`` on a published vision model: an AutoencoderRAE of diffusers, as a folder or an id
    of the hub. Without one, no pictures can be drawn."""
    layer: int | None = Field(default=None, ge=0)
    """For ``rae`` on a published vision model: of which block the features are, the last if
    unset."""
    image_pixels: int | None = Field(default=None, ge=1)
    """Side of the square pictures; the tokenizer's own if unset, 64 for ``pixels``. A published
    model takes any multiple of its patch or token."""
    patch_pixels: int = Field(default=PATCH_PIXELS, ge=1)
    """For ``pixels``: side of a patch; it must divide ``image_pixels``."""
    statistics: str | None = None
    """A file of chiasm vision stats, instead of the tokenizer's own statistics."""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        side = self.image_pixels or PIXELS
        if self.kind == "pixels" and side % self.patch_pixels:
            raise ValueError(
                f"patch_pixels = {self.patch_pixels} does not divide image_pixels = {side}; "
                "choose a divisor"
            )
        for name in ("decoder", "layer"):
            if self.kind != "rae" and getattr(self, name) is not None:
                raise ValueError(f"{name} is a setting of kind = 'rae', not of {self.kind!r}")
        if self.kind == "pixels" and self.path != SHIPPED[0]:
            raise ValueError(
                f"path = {self.path!r} names a tokenizer, and kind = 'pixels' uses none; set kind "
                "to 'rae' or 'vae' as well, or leave path out"
            )
        if self.kind != "pixels" and self.patch_pixels != PATCH_PIXELS:
            raise ValueError(
                f"patch_pixels = {self.patch_pixels} is a setting of kind = 'pixels', not of "
                f"{self.kind!r}; leave it out"
            )
        return self


class VisionSettings(VisionTokenizerSettings):
    """Which vision tokenizer reads a stream of pictures."""

    context_of: str = ""
    """The stream whose context pictures it reads instead: a semantic encoder to see beside a
    tokenizer that draws."""
    latents: str | None = None
    """A folder of chiasm vision encode: training reads its latents and encodes no picture."""


def build_vision_tokenizer(settings: VisionTokenizerSettings) -> VisionTokenizer:
    """The tokenizer that the settings name, frozen.

    ``pixels`` and published models have no statistics of their own (their count is 0): unless
    ``settings.statistics`` names some, :meth:`VisionTokenizer.measure` them on a run's pictures.

    Raises:
        UserError: there is no such tokenizer, it is damaged, or settings do not go with it.
    """
    return _build_one(settings)


@contextmanager
def settings_called(name: Callable[[str], str]) -> Iterator[None]:
    """Errors speak of ``streams.image.path``; where it is called otherwise, they shall say so.

    Args:
        name: from the name of a setting in the table ``vision`` to what it is called here.
    """
    try:
        yield
    except UserError as error:
        raise UserError(_SETTING.sub(lambda match: name(match[1]), str(error))) from error


def _build_one(settings: VisionTokenizerSettings) -> VisionTokenizer:
    tokenizer = _open(settings)
    side = tokenizer.image_shape.height_pixels
    if settings.image_pixels not in (None, side):
        raise UserError(
            f"streams.image.image_pixels = {settings.image_pixels}, but the tokenizer of streams.image.path = "
            f"{settings.path!r} takes pictures of {side} pixels; leave it out, or set it to {side}"
        )
    if settings.statistics is not None:
        path = Path(settings.statistics).expanduser()
        tokenizer.adopt(
            read_statistics(path), f"streams.image.statistics = {settings.statistics!r}"
        )
    return tokenizer


def _open(settings: VisionTokenizerSettings) -> VisionTokenizer:
    if settings.kind == "pixels":
        return PixelTokenizer(settings.image_pixels or PIXELS, settings.patch_pixels)
    own = _own_folder(settings)
    if settings.decoder and (Path(settings.decoder).expanduser() / DESCRIPTION).exists():
        raise UserError(
            f"streams.image.decoder = {settings.decoder!r} was made by chiasm vision train, and such a "
            "folder is a whole tokenizer: set streams.image.path to it, and leave streams.image.decoder out"
        )
    if own is None:
        return open_published(
            Published(
                kind=settings.kind,
                path=settings.path,
                layer=settings.layer,
                image_pixels=settings.image_pixels,
                decoder=settings.decoder,
            )
        )
    for name in ("decoder", "layer"):
        if getattr(settings, name) is not None:
            raise UserError(
                f"streams.image.{name} goes with a published vision model; the tokenizer of streams.image.path "
                f"= {settings.path!r} was trained here and is whole: leave the setting out"
            )
    return load_tokenizer(own)


def _own_folder(settings: VisionTokenizerSettings) -> Path | None:
    """The folder of a tokenizer that was trained here; None for a published model."""
    path, folder = settings.path, Path(settings.path).expanduser()
    if path in SHIPPED:
        if settings.kind == "vae":
            raise UserError(
                f"streams.image.kind = 'vae' needs streams.image.path: {path!r} is no variational autoencoder; "
                "name a folder or an id of the hub"
            )
        return Path(str(resources.files("chiasm.vision"))) / "pretrained" / path
    if folder.is_dir():
        published = (folder / CONFIG).exists() and not (folder / DESCRIPTION).exists()
        return None if published else folder
    if "/" not in path:
        raise UserError(
            f"streams.image.path = {path!r} is neither a folder nor a tokenizer of the package "
            f"({', '.join(SHIPPED)}) nor an id of the hub (owner/name); make one with chiasm "
            "vision train"
        )
    return None
