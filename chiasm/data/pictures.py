"""One picture of a document → uint8 [3, H, W] of the run's image shape, or what replaces it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from chiasm.batch.packed import AnyShape
from chiasm.documents import Image
from chiasm.errors import UserError

PictureReader = Callable[[Image], Tensor]
"""Gives uint8 pixels [3, H, W], as :func:`decode_picture` does, or latents [P, C] that were made of
them earlier; a UserError where the picture is broken."""


class CacheError(UserError):
    """A reader of latents fails, and not the picture: an end, where broken pictures are skipped."""


def decode_picture(image: Image, shape: AnyShape) -> Tensor:
    """Decode, crop to the centre at its shape's aspect ratio, and resize.

    A picture that already has the size passes through unchanged.

    Raises:
        UserError: it cannot be decoded.
    """
    pixels = image.pixels()
    own = shape.of(image.target)
    size = (own.height_pixels, own.width_pixels)
    if pixels.shape[:2] != size:
        pixels = _fit(pixels, *size)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def _fit(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    # Cropping first keeps a very long picture from becoming a huge one.
    have_height, have_width = pixels.shape[:2]
    scale = min(have_height / height, have_width / width)
    top = (have_height - scale * height) / 2
    left = (have_width - scale * width) / 2
    box = (left, top, left + scale * width, top + scale * height)
    picture = PillowImage.fromarray(pixels)
    return np.asarray(picture.resize((width, height), PillowImage.Resampling.BICUBIC, box=box))
