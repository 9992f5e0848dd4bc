"""Pictures as PNG, and files as data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image as PillowImage


def png(pixels: np.ndarray) -> bytes:
    """Returns uint8 [H, W, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """Returns a file's content as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
