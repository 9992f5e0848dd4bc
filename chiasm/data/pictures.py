"""One picture of a document → uint8 [3, H, W] of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from chiasm.documents import Image


@dataclass(frozen=True)
class ImageShape:
    """One picture's size in pixels and its grid of latent tokens."""

    height_pixels: int
    width_pixels: int
    rows: int
    columns: int

    @property
    def num_tokens(self) -> int:
        """Latent tokens of one picture."""
        return self.rows * self.columns


def decode_picture(image: Image, shape: ImageShape) -> Tensor:
    """Decode, crop to the centre at the shape's aspect ratio, and resize.

    A picture that already has the size passes through unchanged.

    Raises:
        UserError: it cannot be decoded.
    """
    pixels = image.pixels()
    size = (shape.height_pixels, shape.width_pixels)
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
