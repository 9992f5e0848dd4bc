"""Pixels for a page, as data URIs that need no second file, and for sheets of pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage

from chiasm.walk.pictures import data_url

LARGE_PIXELS = 192
"""Small pictures are enlarged to about this height, so that they can be judged by eye."""

INK, SOFT, PAPER = "#0f172a", "#475569", "#ffffff"
"""Colours of a sheet: of what is read first, of labels, and of the ground."""


def enlarged(pixels: np.ndarray) -> PillowImage.Image:
    """uint8 [H, W, 3] times a whole number, bicubic, to about ``LARGE_PIXELS`` rows."""
    height, width = pixels.shape[:2]
    factor = max(1, round(LARGE_PIXELS / height))
    picture = PillowImage.fromarray(pixels)
    return picture.resize((width * factor, height * factor), PillowImage.Resampling.BICUBIC)


def png_bytes(pixels: np.ndarray) -> bytes:
    """The enlarged picture as a PNG file."""
    file = io.BytesIO()
    enlarged(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def data_uri(pixels: np.ndarray) -> str:
    """The enlarged picture as the value of an ``<img src>``."""
    return data_url(png_bytes(pixels))
