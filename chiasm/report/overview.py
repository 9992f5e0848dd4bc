"""overview.png: drawings, answers and imagined views of the model, in one figure for a README.

Samples stand side by side; of those that are rows of frames the first one takes the whole width.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from chiasm.evaluation.evaluation import Evaluation, Panel, Sample, Strip
from chiasm.evaluation.settings import MEASURES
from chiasm.report.pictures import INK, PAPER, SOFT, enlarged, pixels_of

PICTURE_PIXELS = 128
GAP_PIXELS = 8
COLUMNS = 3
"""Number of samples beside each other in each band."""

CELL_PIXELS = 3 * PICTURE_PIXELS + 2 * GAP_PIXELS
MARGIN_PIXELS = 28
LINE_PIXELS = 19
WIDTH_PIXELS = 2 * MARGIN_PIXELS + COLUMNS * CELL_PIXELS + (COLUMNS - 1) * MARGIN_PIXELS

ROOM = 4
"""Number of panels that a sample has room for; four are smaller than three."""
LABEL_PIXELS = 132
"""Width of the label of a row of frames."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_overview(evaluation: Evaluation, path: Path) -> None:
    """Draws the figure, if there is something to show."""
    bands = [
        _band(each.overview, chosen[:COLUMNS])
        for each in MEASURES
        if each.overview
        and (chosen := [s for s in evaluation.samples if s.section == each.section and s.panels])
    ]
    if not bands:
        return
    page = Image.new("RGB", (WIDTH_PIXELS, sum(b.height for b in bands) + MARGIN_PIXELS), PAPER)
    top = 0
    for band in bands:
        page.paste(band, (0, top))
        top += band.height
    page.save(path, "PNG", optimize=True)


def _band(title: str, samples: Sequence[Sample]) -> Image.Image:
    rows = [panel for panel in samples[0].panels if isinstance(panel, Strip)]
    cells = [_rows(rows, samples[0])] if rows else [_cell(sample) for sample in samples]
    heading = 62
    band = Image.new("RGB", (WIDTH_PIXELS, heading + max(c.height for c in cells)), PAPER)
    ImageDraw.Draw(band).text((MARGIN_PIXELS, 24), title, INK, _font(22))
    for column, cell in enumerate(cells):
        band.paste(cell, (MARGIN_PIXELS + column * (CELL_PIXELS + MARGIN_PIXELS), heading))
    return band


def _rows(strips: Sequence[Panel], sample: Sample) -> Image.Image:
    """Returns rows of frames with their labels at the left, and the text below."""
    width = WIDTH_PIXELS - 2 * MARGIN_PIXELS
    lines = _wrapped(sample, 150)
    pictures = [enlarged(strip.pixels) for strip in strips]
    for picture in pictures:
        picture.thumbnail((width - LABEL_PIXELS, PICTURE_PIXELS))
    row = max(picture.height for picture in pictures) + GAP_PIXELS
    cell = Image.new("RGB", (width, len(strips) * row + len(lines) * LINE_PIXELS), PAPER)
    draw = ImageDraw.Draw(cell)
    for number, (strip, picture) in enumerate(zip(strips, pictures, strict=True)):
        cell.paste(picture, (LABEL_PIXELS, number * row))
        label = textwrap.fill(strip.label, 20)
        draw.multiline_text((0, number * row), label, SOFT, _font(12))
    for number, line in enumerate(lines):
        draw.text((0, len(strips) * row + number * LINE_PIXELS), line, INK, _font(15))
    return cell


def _cell(sample: Sample) -> Image.Image:
    """Returns a sample's images in a row with labels; text below, or beside a single image."""
    panels = sample.panels[:ROOM]
    beside = len(panels) == 1
    lines = _wrapped(sample, 32 if beside else 50)
    below = 0 if beside else len(lines) * LINE_PIXELS
    pictures = [enlarged(pixels_of(panel)) for panel in panels]
    side = min(PICTURE_PIXELS, (CELL_PIXELS + GAP_PIXELS) // len(panels) - GAP_PIXELS)
    for picture in pictures:
        picture.thumbnail((side, side))
    bottom = PICTURE_PIXELS if beside else max(picture.height for picture in pictures)
    top = bottom + LINE_PIXELS + 6
    cell = Image.new("RGB", (CELL_PIXELS, top + below + GAP_PIXELS), PAPER)
    draw = ImageDraw.Draw(cell)
    for number, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        left = number * (side + GAP_PIXELS)
        cell.paste(picture, (left, 0))
        draw.text((left, bottom + 3), panel.label, SOFT, _font(12))
    corner = (PICTURE_PIXELS + 2 * GAP_PIXELS, 2) if beside else (0, top)
    for number, line in enumerate(lines):
        draw.text((corner[0], corner[1] + number * LINE_PIXELS), line, INK, _font(15))
    return cell


def _wrapped(sample: Sample, characters: int) -> list[str]:
    lines = (f"{label}: {text}" if label else text for label, text in sample.lines)
    return [part for line in lines for part in textwrap.wrap(line, characters)]


def _font(pixels: int) -> Font:
    return ImageFont.load_default(pixels)
