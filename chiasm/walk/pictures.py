"""Pictures as PNG, and a walk as a contact sheet."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from chiasm.actions import PREFIX

CELL_PIXELS, GAP_PIXELS, LINE_PIXELS = 144, 10, 13
COLUMNS = 8
CAPTION_LINES, LINE_CHARACTERS = 2, 24
INK, PAPER, MISSING = (15, 23, 42), (255, 255, 255), (226, 232, 240)


def png(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a PNG file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(pixels: np.ndarray) -> str:
    """uint8 [H, W, 3] as a URL that holds the whole PNG."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray | None]], captions: Sequence[str]
) -> np.ndarray:
    """Frames in lines of :data:`COLUMNS`, each above what was read before it.

    Args:
        rows: views uint8 [H, W, 3] of equally many frames; those of one frame stand one below the
            other, and what is not known is left grey.
        captions: of the frames.

    Returns:
        uint8 [H, W, 3].
    """
    columns = min(COLUMNS, len(captions))
    lines = -(-len(captions) // COLUMNS)
    cell = CELL_PIXELS + GAP_PIXELS
    line_height = len(rows) * cell + CAPTION_LINES * LINE_PIXELS + GAP_PIXELS
    size = (GAP_PIXELS + columns * cell, GAP_PIXELS + lines * line_height)
    sheet = PillowImage.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, caption in enumerate(captions):
        line, column = divmod(number, COLUMNS)
        left, top = GAP_PIXELS + column * cell, GAP_PIXELS + line * line_height
        for row in rows:
            sheet.paste(_cell(row[number]), (left, top))
            top += cell
        for words in _wrapped(caption.removeprefix(PREFIX)):
            pen.text((left, top - GAP_PIXELS // 2), words, INK)
            top += LINE_PIXELS
    return np.array(sheet)


def _cell(view: np.ndarray | None) -> PillowImage.Image:
    if view is None:
        return PillowImage.new("RGB", (CELL_PIXELS, CELL_PIXELS), MISSING)
    picture = PillowImage.fromarray(view)
    return picture.resize((CELL_PIXELS, CELL_PIXELS), PillowImage.Resampling.BICUBIC)


def _wrapped(caption: str) -> list[str]:
    """At most :data:`CAPTION_LINES` lines of words."""
    lines = [""]
    for word in caption.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE_CHARACTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:CAPTION_LINES]
