"""One decoded frame of a video → upright uint8 RGB, by the rule of :mod:`chiasm.video.rule`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from chiasm.video import hdr
from chiasm.video.resizing import Scaler, fitted
from chiasm.video.rule import Matrix, is_hd

_UNTAGGED = frozenset({2, 3})
_KNOWN = frozenset({0, 1, 4, 5, 6, 7, 9})
"""Matrices by their number in ITU-T H.273 which the conversion knows: RGB, BT.709, FCC, BT.601
(twice), SMPTE 240M, BT.2020."""
_SPACES = {1: Colorspace.ITU709, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
"""Those of them that are assumed where a frame names none."""

_UNKNOWN_TRANSFERS = frozenset({8, 9, 10, 17})
"""Transfers by their number there, of which none is converted: linear, logarithmic, of film."""

_LEAST_SCALE = 8
"""How much larger than it is to be a frame must be to be resized before it becomes RGB: the steps
of its differences of color, which stand for two pixels, are seen else."""


class Refused(ValueError):
    """The rule does not say what the frame's colours are; the message is the reason."""


class Converter:
    """What converts frames, one after another: to prepare it takes time."""

    def __init__(self) -> None:
        self.whole, self.small = VideoReformatter(), Scaler()


Turn = tuple[int, int, int, int]
"""a, b, c, d of a display matrix: x' = a x + c y and y' = b x + d y, y down."""


def upright(
    frame: av.VideoFrame,
    turn: Turn,
    aspect: Fraction | None,
    untagged: Matrix,
    converter: Converter,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Returns a frame as a viewer shows it: uint8 [H, W, 3], contiguous.

    Args:
        frame: the decoded frame.
        turn: the stream's display matrix.
        aspect: width of a pixel over its height; None: unknown, taken as square.
        untagged: matrix for frames that do not name theirs.
        converter: what converted the frames before, which may have been prepared for this one.
        size: height and width to which it is cropped and resized; None: it stays whole.

    Raises:
        Refused: its colours cannot be known.
    """
    refuse_colors(frame)
    whole = (frame.height, max(1, round(frame.width * (aspect or 1))))
    if size and _is_sideways(turn):
        size = size[::-1]
    transfer = hdr.TRANSFERS.get(int(frame.color_trc))
    # Codes of high dynamic range are no measure of light, which is what a filter sums up.
    if size and not transfer and min(whole[0] / size[0], whole[1] / size[1]) >= _LEAST_SCALE:
        small = converter.small.small(frame, whole, size, _matrix(frame, untagged))
        if small is not None:
            return np.ascontiguousarray(_turned(small, turn))
    rgb = converter.whole.reformat(
        frame,
        width=whole[1],
        format="rgb48le" if transfer else "rgb24",
        # A tag goes before what is said here.
        src_colorspace=None if is_tagged(frame) else _SPACES[_matrix(frame, untagged)],
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BILINEAR,
        threads=1,
    )
    pixels = rgb.to_ndarray()
    if transfer:
        pixels = hdr.shown(pixels, transfer)
    if size:
        pixels = fitted(pixels, *size)
    return np.ascontiguousarray(_turned(pixels, turn))


def refuse_colors(frame: av.VideoFrame) -> None:
    """Refuses a frame whose colours the rule does not know.

    Raises:
        Refused: it is one.
    """
    if (transfer := int(frame.color_trc)) in _UNKNOWN_TRANSFERS:
        raise Refused(f"transfer function {transfer} of H.273 is not known")
    matrix = int(frame.colorspace)
    if matrix not in _KNOWN | _UNTAGGED:
        raise Refused(f"color matrix {matrix} of H.273 is not known")


def is_tagged(frame: av.VideoFrame) -> bool:
    """Returns whether the frame says by which matrix it is RGB, or needs none."""
    return int(frame.colorspace) not in _UNTAGGED or frame.format.is_rgb


def display_matrix(frame: av.VideoFrame) -> Turn:
    """Returns the display matrix of a frame's stream."""
    # A frame whose side data was asked for is held by it in a circle, until Python next looks for
    # such: with large frames gigabytes. So a tiny copy is asked.
    tiny = frame.reformat(width=16, height=16, format="rgb24", threads=1)
    side_data: Any = tiny.side_data  # whose types are declared wrongly
    if Type.DISPLAYMATRIX not in side_data:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(side_data[Type.DISPLAYMATRIX], np.int32)[:5].tolist()
    return a, b, c, d


def _matrix(frame: av.VideoFrame, untagged: Matrix) -> int:
    """Returns the number of a frame's matrix in H.273."""
    if is_tagged(frame):
        return int(frame.colorspace)
    if int(frame.color_trc) in hdr.TRANSFERS:
        return 9
    if untagged == "by_size":
        untagged = "bt709" if is_hd(frame.width, frame.height) else "bt601"
    return 1 if untagged == "bt709" else 6


def _is_sideways(turn: Turn) -> bool:
    a, b, c, d = turn
    return abs(b) + abs(c) > abs(a) + abs(d)


def _turned(pixels: np.ndarray, turn: Turn) -> np.ndarray:
    a, b, c, d = turn
    if _is_sideways(turn):  # rows become columns
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
