"""A frame cropped and resized by the rule of pictures, several times as fast.

The filter of :func:`chiasm.fitting.fitted` is Pillow's; torch has the same one for bytes, in vector
instructions, but begins with its first pixel where Pillow begins anywhere. So the stretch that it
is given begins a whole number of results before the wanted ones. Where there is no such, Pillow
does the work. Values differ by 2 of 255 at most, which is rounding.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
import torch

from chiasm import fitting

_REACH = 2
"""Results on each side of one, as far as the filter looks, and pixels where a frame grows."""


class _Stretch(NamedTuple):
    """What is read of one axis, and what is made of it."""

    pixels: slice
    before: int
    """Results in front of the wanted ones."""
    scale: float
    """Results for a pixel."""


def fitted(
    pixels: np.ndarray, height: int, width: int, shrunk_from: tuple[int, int] | None = None
) -> np.ndarray:
    """Returns a frame centre-cropped to this aspect ratio and resized: uint8 [H, W, 3].

    Args:
        pixels: uint8 [H, W, 3].
        height: wanted height.
        width: wanted width.
        shrunk_from: as :func:`chiasm.fitting.fitted`.
    """
    have_height, have_width = pixels.shape[:2]
    whole_height, whole_width = shrunk_from or (have_height, have_width)
    wanted = (height, width) == (have_height, have_width)
    # The scale of both sides as a fraction, since a table of what was found knows integers best.
    scale = min((whole_height, height), (whole_width, width), key=lambda own: own[0] / own[1])
    down = _stretch(have_height, whole_height, height, *scale)
    across = _stretch(have_width, whole_width, width, *scale)
    if wanted or down is None or across is None:
        return fitting.fitted(pixels, height, width, shrunk_from)
    if down.before and height < have_height:
        # Torch resizes along rows first; of a part of the rows Pillow along columns.
        turned = fitted(pixels.transpose(1, 0, 2), width, height, (whole_width, whole_height))
        return np.ascontiguousarray(turned.transpose(1, 0, 2))
    part = np.ascontiguousarray(pixels[down.pixels, across.pixels])
    size = down.before + height, across.before + width
    made = torch.ops.aten._upsample_bicubic2d_aa(
        torch.from_numpy(part[None]).permute(0, 3, 1, 2),
        size,
        False,  # corners are those of pixels, not their middles
        down.scale,
        across.scale,
    )
    [plane_3HW] = made.numpy()
    return np.ascontiguousarray(plane_3HW[:, down.before :, across.before :].transpose(1, 2, 0))


@lru_cache
def _stretch(have: int, whole: int, wanted: int, pixels: int, results: int) -> _Stretch | None:
    """Returns what is read of an axis.

    None: no pixel begins where a result does that lies far enough before the wanted ones.

    Args:
        have: pixels that there are.
        whole: pixels that there were.
        wanted: results.
        pixels: how many of the whole ...
        results: ... become how many.
    """
    shrunk, scale = Fraction(have, whole), Fraction(pixels, results)
    begin, each = shrunk * (whole - scale * wanted) / 2, shrunk * scale
    if begin == 0:
        return _Stretch(slice(0, have), 0, float(1 / each))
    end = min(have, ceil(have - begin + _REACH * max(Fraction(1), each)))
    least = ceil(_REACH * max(Fraction(1), 1 / each))
    for before in range(least, least + 2 * each.denominator):
        first = begin - before * each
        if first >= 0 and first.denominator == 1:
            return _Stretch(slice(int(first), end), before, float(1 / each))
    return None
