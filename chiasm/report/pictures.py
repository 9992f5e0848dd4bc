"""Pixels for a page, as data URIs that need no second file, and for sheets of images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage

from chiasm.report import sounds
from chiasm.walk.pictures import data_url

if TYPE_CHECKING:
    from chiasm.evaluation.evaluation import Panel, SoundPanel

LARGE_PIXELS = 192
"""Small images are enlarged to about this height, so that they can be judged by eye."""

EXACT_BYTES = 8192
"""A picture that takes no more without loss keeps every pixel: small views, masks, pixel art."""
QUALITY = 80
"""Of all others."""

MILLISECONDS, LAST_MILLISECONDS = 600, 1800
"""Duration of each moment of an animation, and of its last one."""

INK, SOFT, PAPER = "#0f172a", "#475569", "#ffffff"
"""Colours of a sheet: main text, labels, and background."""


def pixels_of(panel: Panel | SoundPanel) -> np.ndarray:
    """Returns the picture of a panel, uint8 [H, W, 3]; of a sound its waveform and spectrogram."""
    from chiasm.evaluation.evaluation import SoundPanel

    return sounds.picture(panel.sound) if isinstance(panel, SoundPanel) else panel.pixels


def enlarged(pixels: np.ndarray) -> PillowImage.Image:
    """Returns uint8 [H, W, 3] scaled by a whole number, bicubic, to about ``LARGE_PIXELS`` rows."""
    height, width = pixels.shape[:2]
    factor = max(1, round(LARGE_PIXELS / height))
    picture = PillowImage.fromarray(pixels)
    return picture.resize((width * factor, height * factor), PillowImage.Resampling.BICUBIC)


def data_uri(pixels: np.ndarray) -> str:
    """Returns an image at its own size as the value of an ``<img src>``: WebP, without loss where
    that is small.
    """
    exact = _webp([pixels], lossless=True)
    content = exact if len(exact) <= EXACT_BYTES else _webp([pixels], quality=QUALITY)
    return data_url(content, "image/webp")


def moving_data_uri(moments_THW3: np.ndarray) -> str:
    """Returns an animation, uint8, without end, as the value of an ``<img src>``."""
    durations = [MILLISECONDS] * (len(moments_THW3) - 1) + [LAST_MILLISECONDS]
    content = _webp(moments_THW3, quality=QUALITY, duration=durations, loop=0)
    return data_url(content, "image/webp")


def _webp(moments: Sequence[np.ndarray] | np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    first, *others = map(PillowImage.fromarray, moments)
    first.save(file, "WEBP", save_all=bool(others), append_images=others, **options)
    return file.getvalue()
