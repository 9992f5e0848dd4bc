"""Pixels cropped and resized to the size that a tokenizer takes."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage


def fitted(
    pixels: np.ndarray, height: int, width: int, shrunk_from: tuple[int, int] | None = None
) -> np.ndarray:
    """Returns a picture centre-cropped to this aspect ratio and resized: uint8 [H, W, 3].

    A picture that already has the size is returned unchanged.

    Args:
        pixels: uint8 [H, W, 3].
        height: wanted height.
        width: wanted width.
        shrunk_from: height and width of the picture that these pixels are averages of, by which the
            crop goes; None: they are the picture.
    """
    have_height, have_width = pixels.shape[:2]
    if (have_height, have_width) == (height, width):
        return pixels
    whole_height, whole_width = shrunk_from or (have_height, have_width)
    down, across = have_height / whole_height, have_width / whole_width
    # Cropping first keeps a very long picture from becoming a huge one.
    scale = min(whole_height / height, whole_width / width)
    top = max(0.0, (whole_height - scale * height) / 2)  # which rounding makes negative
    left = max(0.0, (whole_width - scale * width) / 2)
    right, bottom = left + scale * width, top + scale * height
    box = (left * across, top * down, right * across, bottom * down)
    picture = PillowImage.fromarray(pixels)
    return np.asarray(picture.resize((width, height), PillowImage.Resampling.BICUBIC, box=box))
