"""Pixels cropped and resized to the size that a tokenizer takes."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage


def fitted(
    pixels: np.ndarray, height: int, width: int, reducing_gap: float | None = None
) -> np.ndarray:
    """Returns a picture centre-cropped to this aspect ratio and resized: uint8 [H, W, 3].

    A picture that already has the size is returned unchanged.

    Args:
        pixels: uint8 [H, W, 3].
        height: wanted height.
        width: wanted width.
        reducing_gap: if it is given, blocks of pixels are averaged before, as large as leaves the
            picture so many times as large as wanted.
    """
    have_height, have_width = pixels.shape[:2]
    if (have_height, have_width) == (height, width):
        return pixels
    # Cropping first keeps a very long picture from becoming a huge one.
    scale = min(have_height / height, have_width / width)
    top = max(0.0, (have_height - scale * height) / 2)  # which rounding makes negative
    left = max(0.0, (have_width - scale * width) / 2)
    box = (left, top, left + scale * width, top + scale * height)
    picture = PillowImage.fromarray(pixels)
    bicubic = PillowImage.Resampling.BICUBIC
    return np.asarray(picture.resize((width, height), bicubic, box, reducing_gap))
