"""A run's vision tokenizer from its settings."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from chiasm.errors import UserError
from chiasm.settings import Settings
from chiasm.vision.pixels import PixelTokenizer
from chiasm.vision.storage import load_tokenizer
from chiasm.vision.tokenizer import VisionTokenizer

SHIPPED = ("embedded-world",)
"""Names of the tokenizers that the package carries."""


class VisionSettings(Settings):
    """Which vision tokenizer a run uses."""

    kind: Literal["pixels", "rae"] = "rae"
    """``pixels``: patches, nothing learned. ``rae``: a frozen encoder with its decoder."""
    path: str = "embedded-world"
    """For ``rae``: the tokenizer that the package carries, or a folder of chiasm vision train."""
    image_pixels: int = Field(default=64, ge=1)
    """For ``pixels``: side of the square pictures."""
    patch_pixels: int = Field(default=8, ge=1)
    """For ``pixels``: side of a patch; it must divide ``image_pixels``."""

    @model_validator(mode="after")
    def _patches_fit(self) -> VisionSettings:
        if self.image_pixels % self.patch_pixels:
            raise ValueError(
                f"patch_pixels = {self.patch_pixels} does not divide image_pixels = "
                f"{self.image_pixels}; choose a divisor"
            )
        return self


def build_vision_tokenizer(
    settings: VisionSettings, pictures: Iterable[Tensor] = (), *, data: str = ""
) -> VisionTokenizer:
    """The tokenizer that the settings name, frozen.

    A ``pixels`` tokenizer has no statistics of its own: give ``pictures`` (batches [B, 3, H, W] of
    the run's training pictures) and ``data``, their name, to measure them; without pictures it
    assumes neutral ones.

    Raises:
        UserError: there is no such tokenizer, or its folder is damaged.
    """
    if settings.kind == "rae":
        return load_tokenizer(_folder(settings.path))
    tokenizer = PixelTokenizer(settings.image_pixels, settings.patch_pixels)
    batches = iter(pictures)
    first = next(batches, None)
    if first is not None:
        tokenizer.measure([first, *batches], data=data)
    return tokenizer


def _folder(path: str) -> Path:
    if path in SHIPPED:
        return Path(str(resources.files("chiasm.vision"))) / "pretrained" / path
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"vision.path = {path!r} is neither a folder nor a tokenizer of the package "
            f"({', '.join(SHIPPED)}); make one with chiasm vision train"
        )
    return folder
