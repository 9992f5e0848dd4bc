"""Encodes pictures as H.264 in mp4 files.

Without loss pictures keep every bit as RGB. With it they become 4:2:0, as every player shows them,
by the matrix BT.601, which the file names: of large pictures that name none readers assume BT.709.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from chiasm.errors import UserError

_BT601 = 6
"""FFmpeg's number of SMPTE 170M."""
_KEY_FRAMES = "2"
"""Every second frame can be sought, as LeRobot writes its own files."""


class PixelFormats(NamedTuple):
    """An encoder, and how pixels are given to it and stored by it."""

    encoder: str
    given: str
    stored: str


def pixel_formats(crf: int, height: int, width: int) -> PixelFormats:
    """Returns the formats for a loss and a size of pictures."""
    if not crf:
        return PixelFormats("libx264rgb", "rgb24", "gbrp")
    own = "yuv444p" if height % 2 or width % 2 else "yuv420p"
    return PixelFormats("libx264", own, own)


class Encoder:
    """Writes the frames of one mp4.

    Args:
        path: the file.
        frames_per_second: its rate, which is constant.
        crf: loss of H.264, 0 to 51.
    """

    def __init__(self, path: Path, frames_per_second: int, crf: int) -> None:
        self._per_second, self._crf = frames_per_second, crf
        self._container = av.open(str(path), "w")
        self._stream: av.VideoStream | None = None
        self.written, self.bytes_written = 0, 0

    def write(self, pixels: np.ndarray, *, begins: bool) -> None:
        """Writes a picture, as one that can be sought where it begins an episode."""
        stream = self._stream or self._begin(pixels)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = self.written, Fraction(1, self._per_second)
        frame.pict_type = PictureType.I if begins else PictureType.NONE
        self._mux(stream.encode(frame))
        self.written += 1

    def close(self) -> None:
        """Writes what is left."""
        if self._stream is not None:
            self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self.bytes_written += packet.size
            self._container.mux(packet)

    def _begin(self, pixels: np.ndarray) -> Any:
        height, width = pixels.shape[:2]
        encoder, given, _ = pixel_formats(self._crf, height, width)
        options = {"g": _KEY_FRAMES, "bf": "0", "crf": str(self._crf)}
        options |= {} if self._crf else {"qp": "0"}
        try:
            stream = self._container.add_stream(encoder, rate=self._per_second, options=options)
        except (ValueError, av.FFmpegError) as error:
            raise UserError(
                f"{encoder} is not in this build of FFmpeg ({error}); install av from its wheel"
            ) from error
        stream = cast(av.VideoStream, stream)
        stream.width, stream.height, stream.pix_fmt = width, height, given
        if self._crf:
            stream.codec_context.colorspace = _BT601
            stream.codec_context.color_range = ColorRange.MPEG
        self._stream = stream
        return stream
