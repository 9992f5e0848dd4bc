"""Frames cropped and resized by the filter of pictures, in the vector instructions of libraries.

The filter of :func:`chiasm.fitting.fitted` is Pillow's, which takes longer than the decoder. Torch
and swscale have it too, but begin with their first pixel where Pillow begins anywhere: so the part
that they are given begins a whole number of results before the wanted ones, and ends so. Where
there is no such part, Pillow does the work, after blocks of pixels were averaged.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import av
import numpy as np
import torch
from av.filter import Graph
from av.video.reformatter import ColorRange
from torch.nn import functional

from chiasm import fitting

_REACH = 2
"""Results on each side of one, as far as the filter looks, and pixels where a frame grows."""
_REDUCING_GAP = 4.0
"""Where Pillow does the work: with 3 the tones of hard contrasts are off by up to 10 of 255, with 4
by 3."""
_FILTER = "flags=bicubic+accurate_rnd+full_chroma_int:param0=0:param1=0.5"
"""Of swscale, as Pillow has it; colors are made from brightness and differences at full size."""
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
"""Names by their number in ITU-T H.273."""

Size = tuple[int, int]
"""Height and width in pixels."""


class _Side(NamedTuple):
    """A part of one axis, in the middle."""

    cut: int
    """Pixels that are left out at each end."""
    more: int
    """Results at each end beside the wanted ones."""


def fitted(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a frame centre-cropped to this aspect ratio and resized: uint8 [H, W, 3].

    Values are those of :func:`chiasm.fitting.fitted` to within 3 of 255.

    Args:
        pixels: uint8 [H, W, 3].
        height: wanted height.
        width: wanted width.
    """
    have = pixels.shape[0], pixels.shape[1]
    sides = _part(have, have, (height, width))
    if sides is None or (height, width) == have:
        return fitting.fitted(pixels, height, width, _REDUCING_GAP)
    down, across = sides
    if down.cut and height < have[0]:
        # Torch resizes along rows first; of a part of the rows Pillow along columns.
        return np.ascontiguousarray(
            fitted(pixels.transpose(1, 0, 2), width, height).transpose(1, 0, 2)
        )
    part = np.ascontiguousarray(pixels[_inside(have[0], down.cut), _inside(have[1], across.cut)])
    made = functional.interpolate(
        torch.from_numpy(part[None]).permute(0, 3, 1, 2),
        (height + 2 * down.more, width + 2 * across.more),
        mode="bicubic",
        antialias=True,
    )
    return _wanted(made[0].permute(1, 2, 0).numpy(), down, across)


class Scaler:
    """Makes small frames of large ones in one pass of swscale, which keeps what it has prepared."""

    def __init__(self) -> None:
        self._graphs: dict[tuple, Graph] = {}

    def small(
        self, frame: av.VideoFrame, shown: Size, size: Size, matrix: int
    ) -> np.ndarray | None:
        """Returns a frame as it is stored, cropped and resized: uint8 [H, W, 3].

        None: no part of it can be taken, or its colors are not known here.

        Args:
            frame: the frame.
            shown: its height and width when its pixels are square.
            size: wanted height and width.
            matrix: number of its color matrix in H.273.
        """
        have, form = (frame.height, frame.width), frame.format
        # A part begins with a whole sample of color.
        steps = 64 // form.chroma_height(64), 64 // form.chroma_width(64)
        sides = _part(have, shown, size, steps)
        if sides is None or matrix not in _MATRICES or form.is_rgb or len(form.components) < 3:
            return None
        is_full = frame.color_range == ColorRange.JPEG or "yuvj" in form.name
        key = (have, form.name, sides, size, matrix, is_full)
        graph = self._graphs.get(key)
        if graph is None:
            self._graphs[key] = graph = _graph(frame, sides, size, matrix, is_full=is_full)
        graph.vpush(frame)
        return _wanted(graph.vpull().to_ndarray(), *sides)


def _graph(
    frame: av.VideoFrame, sides: tuple[_Side, _Side], size: Size, matrix: int, *, is_full: bool
) -> Graph:
    down, across = sides
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    part = frame.width - 2 * across.cut, frame.height - 2 * down.cut, across.cut, down.cut
    to = f"{size[1] + 2 * across.more}:{size[0] + 2 * down.more}"
    colors = f"in_color_matrix={_MATRICES[matrix]}:in_range={'full' if is_full else 'limited'}"
    graph.link_nodes(
        source,
        graph.add("crop", ":".join(map(str, part))),
        graph.add("scale", f"{to}:{_FILTER}:{colors}:out_range=full"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _inside(have: int, cut: int) -> slice:
    return slice(cut, have - cut)


def _wanted(made: np.ndarray, down: _Side, across: _Side) -> np.ndarray:
    """Returns the wanted ones of results [H, W, 3], contiguous."""
    height, width, _ = made.shape
    return np.ascontiguousarray(made[_inside(height, down.more), _inside(width, across.more)])


@lru_cache
def _part(
    have: Size, shown: Size, size: Size, steps: tuple[int, int] = (1, 1)
) -> tuple[_Side, _Side] | None:
    """Returns the part from which a size is made; None: there is none.

    Args:
        have: pixels that there are.
        shown: pixels that they stand for, by whose aspect ratio goes what is cropped.
        size: wanted pixels.
        steps: the part begins with a multiple of so many pixels.
    """
    scale = min(Fraction(shown[0], size[0]), Fraction(shown[1], size[1]))
    down, across = (
        _side(have[axis], Fraction(have[axis], shown[axis]), size[axis], scale, steps[axis])
        for axis in (0, 1)
    )
    return None if down is None or across is None else (down, across)


def _side(have: int, shrunk: Fraction, wanted: int, scale: Fraction, step: int) -> _Side | None:
    each = shrunk * scale  # pixels of a result
    begin = (have - each * wanted) / 2
    if begin == 0:
        return _Side(0, 0)
    least = ceil(_REACH * max(Fraction(1), 1 / each))
    for more in range(least, least + 2 * step * each.denominator):
        cut = begin - more * each
        if cut >= 0 and cut % step == 0 and (have - cut) % step == 0:
            return _Side(int(cut), more)
    return None
