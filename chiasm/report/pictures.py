"""Pixels for a page, as data URIs that need no second file, and for sheets of images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage

from chiasm.walk.pictures import data_url

LARGE_PIXELS = 192
"""Small images are enlarged to about this height, so that they can be judged by eye."""

INK, SOFT, PAPER = "#0f172a", "#475569", "#ffffff"
"""Colours of a sheet: main text, labels, and background."""


def enlarged(pixels: np.ndarray) -> PillowImage.Image:
    """Returns uint8 [H, W, 3] scaled by a whole number, bicubic, to about ``LARGE_PIXELS`` rows."""
    height, width = pixels.shape[:2]
    factor = max(1, round(LARGE_PIXELS / height))
    picture = PillowImage.fromarray(pixels)
    return picture.resize((width * factor, height * factor), PillowImage.Resampling.BICUBIC)


def png_bytes(pixels: np.ndarray) -> bytes:
    """Returns the enlarged image as a PNG file.

    Level 4 takes a fourteenth of the time of ``optimize=True`` for 4 % more bytes.
    """
    file = io.BytesIO()
    enlarged(pixels).save(file, "PNG", compress_level=4)
    return file.getvalue()


def data_uri(pixels: np.ndarray) -> str:
    """Returns the enlarged image as the value of an ``<img src>``."""
    return data_url(png_bytes(pixels))
