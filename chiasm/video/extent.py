"""First and last stamp of a video file, and whether it is cut off; headers are not believed.

A file counts as cut off where its last packet lacks bytes; where its last stamp lies before the end
that its header names; or where, in MPEG streams, whose headers name none, the last picture cannot
be decoded whole. An MPEG stream, a fragmented mp4 or a live recording in webm that ends between two
pictures is a shorter file, and nobody can tell.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from chiasm.video.colors import Refused, is_tagged, refuse_colors
from chiasm.video.errors import CUT_OFF, EQUAL_STAMPS, NO_STAMPS, VideoError
from chiasm.video.reader import VideoReader, open_video
from chiasm.video.rule import is_hd

_WITHOUT_END = frozenset({"mpegts", "mpeg"})
"""Formats whose headers say nothing of the end."""
_PACKET_BYTES = (188, 192, 204)
"""Sizes of packets of transport streams, of which a file has the same throughout."""
_LONGEST_SECONDS = 3600
"""Between two frames: a damaged stamp is years away, and clips of one frame would fill memory."""
_PADDING = Fraction(1, 10)
"""Seconds of padding of sound."""


@dataclass(frozen=True)
class Extent:
    """What a file holds, by the stamps of its packets.

    Shape suffixes: F frames of the file, K key frames.
    """

    ticks_F: np.ndarray
    """int64 [F]: stamps of the frames since the first one, rising."""
    key_ticks_K: np.ndarray
    """int64 [K]: those of frames with which decoding may begin."""
    time_base: Fraction
    """Seconds of a tick."""
    slack: Fraction
    """Half a frame in seconds: what stamps and the times asked for may be off."""
    names_matrix: bool
    """Whether the file names its color matrix, or needs none."""
    is_hd: bool
    """Whether files of its size mean BT.709 where they name no matrix."""

    @property
    def last(self) -> Fraction:
        """Stamp of the last frame, in seconds since the first one."""
        return int(self.ticks_F[-1]) * self.time_base


def read_extent(path: Path) -> Extent:
    """Returns what a file holds: all of it is read, and its first frame is decoded.

    Raises:
        VideoError: it cannot be opened, is cut off, or has colours that are not known.
    """
    ticks, keys = _stamps(path)
    reader = VideoReader(path)
    try:
        refuse_colors(reader.first)
    except Refused as error:
        raise VideoError(path, str(error)) from error
    origin = min(ticks) if reader.in_order else int(reader.origin / reader.time_base)
    ticks_F = np.unique(np.array(ticks, np.int64)) - origin
    if 2 * len(ticks_F) < len(ticks):
        raise VideoError(path, EQUAL_STAMPS)
    if np.diff(ticks_F).max(initial=0) * float(reader.time_base) > _LONGEST_SECONDS:
        raise VideoError(path, "time stamps hours apart", remedy="convert it, or leave it out")
    width, height = reader.first.width, reader.first.height
    extent = Extent(
        ticks_F[ticks_F >= 0],
        np.unique(np.array(keys, np.int64)) - origin,
        reader.time_base,
        reader.slack,
        is_tagged(reader.first),
        is_hd(width, height),
    )
    if reader.format in _WITHOUT_END:
        _refuse_half_pictures(reader, extent)
    return extent


def _stamps(path: Path) -> tuple[array[int], array[int]]:
    """Returns the stamps of the video's packets, and of those with key frames.

    Raises:
        VideoError: the file is cut off, by its packets or its header.
    """
    container, stream, in_order = open_video(path)
    ticks, keys = array("q"), array("q")  # of a film of hours there are very many
    ends: dict[int, int] = {}
    broken, own = False, stream.index
    with container:
        try:
            for packet in container.demux():
                shown, decoded, number = packet.pts, packet.dts, packet.stream_index
                stamps = [stamp for stamp in (shown, decoded) if stamp is not None]
                if not stamps:
                    continue  # also the mark of a stream's end
                ends[number] = max(ends.get(number, 0), max(stamps) + (packet.duration or 0))
                broken = packet.is_corrupt
                if in_order:
                    shown = decoded
                if number == own and shown is not None and not packet.is_discard:
                    ticks.append(shown)
                    if packet.is_keyframe:
                        keys.append(shown)
        except (av.FFmpegError, OSError):
            broken = True
        if not ticks and not broken:
            raise VideoError(path, NO_STAMPS)
        if broken:
            raise VideoError(path, CUT_OFF, "its last packet lacks bytes")
        named = Fraction(container.duration or 0, av.time_base)
        bases = ((end, container.streams[number].time_base) for number, end in ends.items())
        end = max(end * Fraction(base or 0) for end, base in bases)
        if end + _tolerance(container, stream) < named:
            detail = f"it ends at {float(end):.2f} of {float(named):.2f} s"
            raise VideoError(path, CUT_OFF, detail)
        if not _ends_with_a_packet(path, container):
            raise VideoError(path, CUT_OFF, "its last packet lacks bytes")
    return ticks, keys


def _ends_with_a_packet(path: Path, container: InputContainer) -> bool:
    """Returns whether the last part of a file, as its format is divided, is whole."""
    if container.format.name == "mpegts":
        return not all(container.size % size for size in _PACKET_BYTES)
    if "mp4" not in container.format.name:
        return True
    begin = 0
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:  # a box: its length, its name, a longer length
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:], "big") if length == 1 else length
            if length < 8:
                return True  # to the end of the file, or no more boxes
            begin += length
            file.seek(begin)
    return begin <= container.size


def _tolerance(container: InputContainer, stream: av.VideoStream) -> Fraction:
    """Returns by how many seconds stamps may end before the header says."""
    frame = 1 / Fraction(stream.average_rate) if stream.average_rate else Fraction(1, 25)
    # Sound is padded, and the header counts that or not.
    return Fraction(3, 2) * frame if len(container.streams) == 1 else max(_PADDING, 2 * frame)


def _refuse_half_pictures(reader: VideoReader, extent: Extent) -> None:
    try:
        last = reader.since_first(reader.at(extent.last))
    except VideoError:
        last = Fraction(-1)
    # The second of two fields has a stamp of its own, half a frame later. The picture that the file
    # ends in may be shown before the last one.
    if extent.last - last > reader.slack or reader.meets_damage:
        raise VideoError(reader.path, CUT_OFF, "its last picture is not whole")
