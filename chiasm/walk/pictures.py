"""Pictures as PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image as PillowImage


def png(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a PNG file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(content: bytes) -> str:
    """A PNG file as a URL that holds the whole of it."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
