"""Rollouts as images: a contact sheet, and an animation with the strips side by side.

A strip is one rollout, or a part of one: its views from left to right, each above the action that
led to it, and below them the true views where they are known, first as the vision tokenizer alone
leaves them. A true view behind a step that a wall or an object stopped is marked.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

VIEW_PIXELS = 128
GAP_PIXELS = 8
LINE_PIXELS = 15
CAPTION_LINES, CAPTION_CHARACTERS = 2, 22
INK, SOFT, PAPER, UNKNOWN, BLOCKED = "#0f172a", "#64748b", "#ffffff", "#e2e8f0", "#b91c1c"
_CELL = VIEW_PIXELS + GAP_PIXELS
_LEFT = 84  # what the rows are called


@dataclass(frozen=True, eq=False)
class Strip:
    """One rollout of S views, its start included."""

    name: str
    views: Sequence[np.ndarray]
    """S of uint8 [H, W, 3], as imagined."""
    captions: Sequence[str]
    """S texts: the action that led to each view."""
    truth: Sequence[np.ndarray | None] | None = None
    """S true views; None, drawn grey, where one is not known."""
    blocked: Sequence[bool] = ()
    """S flags: whether a wall or an object stopped the step to each true view; empty: none."""
    decoded: Sequence[np.ndarray] | None = None
    """S true views through the vision tokenizer: what an imagined view can show at best."""

    def is_blocked(self, row: str, step: int) -> bool:
        """Returns whether that view of a row is marked."""
        return row == "true" and bool(self.blocked) and self.blocked[step]

    @property
    def rows(self) -> dict[str, Sequence[np.ndarray | None]]:
        """Views by the name of their row, from the top."""
        rows = {"imagined": self.views, "decoded": self.decoded, "true": self.truth}
        return {name: views for name, views in rows.items() if views is not None}


def contact_sheet(strips: Sequence[Strip]) -> PillowImage.Image:
    """Returns an image with a row for each strip and a column for each view."""
    columns = max(len(strip.views) for strip in strips)
    heights = [_height(strip) for strip in strips]
    sheet = _paper(_LEFT + columns * _CELL + GAP_PIXELS, sum(heights) + GAP_PIXELS)
    top = GAP_PIXELS
    for strip, height in zip(strips, heights, strict=True):
        _draw_strip(sheet, strip, top)
        top += height
    return sheet


def animation(strips: Sequence[Strip]) -> list[PillowImage.Image]:
    """Returns one frame per view, with strips side by side; a shorter strip holds its last view."""
    steps = max(len(strip.views) for strip in strips)
    rows = max(len(strip.rows) for strip in strips)
    height = rows * _CELL + (1 + CAPTION_LINES) * LINE_PIXELS + GAP_PIXELS
    pictures = []
    for step in range(steps):
        picture = _paper(_LEFT + len(strips) * _CELL + GAP_PIXELS, height)
        for number, strip in enumerate(strips):
            _draw_moment(picture, strip, step, _LEFT + number * _CELL)
        pictures.append(picture)
    return pictures


def _paper(width: int, height: int) -> PillowImage.Image:
    return PillowImage.new("RGB", (width, height), PAPER)


def _height(strip: Strip) -> int:
    return LINE_PIXELS + len(strip.rows) * _CELL + CAPTION_LINES * LINE_PIXELS + GAP_PIXELS


def _draw_strip(sheet: PillowImage.Image, strip: Strip, top: int) -> None:
    _write(sheet, (_LEFT, top), strip.name, INK)
    top += LINE_PIXELS
    for name, views in strip.rows.items():
        _write(sheet, (GAP_PIXELS, top), name, SOFT)
        for column, view in enumerate(views):
            picture = _enlarged(view, blocked=strip.is_blocked(name, column))
            sheet.paste(picture, (_LEFT + column * _CELL, top))
        top += _CELL
    for column, caption in enumerate(strip.captions):
        _write_wrapped(sheet, (_LEFT + column * _CELL, top - GAP_PIXELS // 2), caption)


def _draw_moment(picture: PillowImage.Image, strip: Strip, step: int, left: int) -> None:
    """Draws the strip's view after ``step`` steps, or its last one."""
    step = min(step, len(strip.views) - 1)
    top = GAP_PIXELS
    for name, views in strip.rows.items():
        _write(picture, (GAP_PIXELS, top), name, SOFT)
        shown = _enlarged(views[step], blocked=strip.is_blocked(name, step))
        picture.paste(shown, (left, top))
        top += _CELL
    _write(picture, (left, top - GAP_PIXELS // 2), f"step {step} of {len(strip.views) - 1}", SOFT)
    place = (left, top - GAP_PIXELS // 2 + LINE_PIXELS)
    _write_wrapped(picture, place, strip.captions[step])


def _enlarged(view: np.ndarray | None, *, blocked: bool) -> PillowImage.Image:
    if view is None:
        return PillowImage.new("RGB", (VIEW_PIXELS, VIEW_PIXELS), UNKNOWN)
    picture = PillowImage.fromarray(view)
    picture = picture.resize((VIEW_PIXELS, VIEW_PIXELS), PillowImage.Resampling.BICUBIC)
    if blocked:
        draw, edge = ImageDraw.Draw(picture), VIEW_PIXELS - 1
        draw.rectangle((0, 0, edge, edge), outline=BLOCKED, width=3)
        draw.rectangle((0, edge - LINE_PIXELS - 2, 52, edge), BLOCKED)
        _write(picture, (4, edge - LINE_PIXELS - 1), "blocked", PAPER)
    return picture


def _write(picture: PillowImage.Image, place: tuple[int, int], words: str, colour: str) -> None:
    ImageDraw.Draw(picture).text(place, words, colour, ImageFont.load_default(12))


def _write_wrapped(picture: PillowImage.Image, place: tuple[int, int], words: str) -> None:
    lines = textwrap.wrap(
        words,
        CAPTION_CHARACTERS,
        max_lines=CAPTION_LINES,
        placeholder="...",
        break_on_hyphens=False,
    )
    for number, line in enumerate(lines):
        _write(picture, (place[0], place[1] + number * LINE_PIXELS), line, INK)
