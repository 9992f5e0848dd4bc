"""One picture of a document → uint8 [3, H, W] of the run's image shape, or what replaces it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chiasm.batch.packed import AnyShape
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.rgb import fitted

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
    own = shape.of(image.target)
    pixels = fitted(image.pixels(), own.height_pixels, own.width_pixels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
