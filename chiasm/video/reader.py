"""One open video file: seeking, and the frame at a time.

Times are exact seconds since the first frame that is decoded, whatever the file's clock says then.
The frame at time t is the one on display at t. The one after it counts as on display from half a
source frame before its stamp, where t is nearer to it: stamps are rounded (to milliseconds in mkv
and webm), and so may the times be that are asked for. Frame counts and rates in headers are often
wrong; nothing here believes them, but for the length of that half frame.

What a seek leads to differs by container, and is looked at: frames count from the first key frame
on, and where that is later than the wanted time the reader seeks further back, at last by opening
the file again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition

from chiasm.video.colors import Converter, display_matrix
from chiasm.video.errors import CUT_OFF, NO_STAMPS, VideoError

_RECENT_BYTES, _RECENT_FRAMES = 1 << 25, 16
"""Bounds of the frames that are kept for times a little earlier than the last one."""
_FIRST_REACH = 8
"""Frames ahead from which on a seek is tried, until the distance of key frames is known."""
_STEPS_BACK = (0, 1, 4, 16)
"""Seconds before the wanted time to which seeks go, until one leads to a key frame before it."""

_IN_ORDER = frozenset({"avi", "mpeg"})
"""Formats of which not every frame has a time of display; what FFmpeg guesses may go back."""
_NO_INDEX = "its index is missing or damaged"


class _Decoded(NamedTuple):
    stamp: int
    """On the file's clock, in its ticks: to count in seconds takes longer than to decode."""
    frame: av.VideoFrame
    damaged: bool


class VideoReader:
    """The frames of one file, of which a few are in memory; not for several threads at once.

    Decoding goes on from the last frame where the next one wanted is not far ahead.

    Raises:
        VideoError: the file cannot be opened, or holds no frame.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._decoded: Iterator[av.VideoFrame] = iter(())
        self._is_damaged = False
        self._recent: deque[_Decoded] = deque()
        self._open()
        if not self._advance():
            raise VideoError(path, NO_STAMPS)
        self._first_stamp, self.first, _ = self._recent[0]
        self.turn = display_matrix(self.first)
        self.converter = Converter()
        rates = [self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate]
        frames = [1 / (rate * self.time_base) for rate in rates if rate]
        self._last_duration = max(frames, default=Fraction(1, 10) / self.time_base)
        if self._advance():  # where the rate varies, those of the header are often far too low
            frames.append(Fraction(self._recent[1].stamp - self._first_stamp))
        self._slack = max(Fraction(1), min(frames, default=Fraction(1)) / 2)
        self._reach = _FIRST_REACH * 2 * self._slack

    @property
    def origin(self) -> Fraction:
        """Stamp of the first frame on the file's clock, in seconds."""
        return self._first_stamp * self.time_base

    @property
    def slack(self) -> Fraction:
        """Half a source frame in seconds."""
        return self._slack * self.time_base

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width of a pixel over its height; None: the file does not say."""
        return self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio

    @property
    def format(self) -> str:
        """Name of the container's format."""
        return self._container.format.name

    def at(self, time: Fraction) -> av.VideoFrame:
        """Returns the decoded frame on display at a time, in seconds since the first frame.

        Raises:
            VideoError: there is none then, or it is damaged.
        """
        wanted = self._first_stamp + time / self.time_base
        if wanted < self._first_stamp - self._slack:
            raise VideoError(self.path, "no frame before the first", f"at {float(time):.3f} s")
        try:
            stamp, frame, damaged = self._found(wanted)
        except VideoError:
            damaged = True
        if damaged:  # perhaps of an earlier frame, which a new decoder need not meet
            self._is_damaged = True
            self._recent.clear()
            stamp, frame, damaged = self._found(wanted)
        if stamp == self._recent[-1].stamp and wanted >= stamp + self._shown(frame):
            end = float((stamp + self._shown(frame) - self._first_stamp) * self.time_base)
            detail = f"asked for {float(time):.3f} s, where it ends at {end:.3f} s"
            raise VideoError(self.path, "no frame after the last", detail)
        if damaged:
            raise VideoError(self.path, "a damaged frame", f"at {float(time):.3f} s")
        return frame

    def _found(self, wanted: Fraction) -> _Decoded:
        """Returns the frame on display, sought for unless it is in memory or near."""
        if not self._recent or not (self._holds(wanted) or self._is_near(wanted)):
            self._seek(wanted)
        while self._recent[-1].stamp < wanted and self._advance():
            pass
        return self._chosen(wanted)

    def since_first(self, frame: av.VideoFrame) -> Fraction:
        """Returns the stamp of a frame, in seconds since the first frame."""
        stamp = next(own.stamp for own in self._recent if own.frame is frame)
        return (stamp - self._first_stamp) * self.time_base

    @property
    def meets_damage(self) -> bool:
        """Whether any frame in memory is damaged."""
        return any(own.damaged for own in self._recent)

    def _chosen(self, wanted: Fraction) -> _Decoded:
        """Returns the frame in memory that counts as on display."""
        after = None
        for own in reversed(self._recent):
            if own.stamp <= wanted:
                near = min(self._slack, wanted - own.stamp)
                return after if after is not None and after.stamp - wanted < near else own
            after = own
        return self._recent[0]

    def _shown(self, frame: av.VideoFrame) -> Fraction:
        """Returns for how long a last frame is on display, in ticks."""
        return max(Fraction(frame.duration or 0), self._last_duration) + self._slack

    def _holds(self, wanted: Fraction) -> bool:
        """Returns whether the frame is in memory, if the file has it."""
        first, last = self._recent[0].stamp, self._recent[-1].stamp
        return (first <= wanted or first == self._first_stamp) and wanted <= last

    def _is_near(self, wanted: Fraction) -> bool:
        return 0 <= wanted - self._recent[-1].stamp <= self._reach

    def _seek(self, wanted: Fraction) -> None:
        """Leads to a frame at or before a time, from which on decoding is right."""
        before = self._recent[-1].stamp if self._recent else wanted
        for back in _STEPS_BACK:
            target = floor(wanted - back / self.time_base)
            if target <= self._first_stamp:
                break
            if self._sought(target) and (key := self._recent[0].stamp) <= wanted:
                if key <= before < wanted:  # to go on would have been as fast
                    self._reach = max(self._reach, wanted - key)
                return
        self._open()
        if not self._advance():
            raise VideoError(self.path, "has changed while it was read")

    def _sought(self, target: int) -> bool:
        """Seeks on the file's clock; returns whether a key frame follows."""
        if self._is_damaged:  # a decoder that met damage is not as a new one, even after a seek
            self._open()
        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return False  # some demuxers cannot
        self._begin()
        while self._advance():
            # Frames before the first key frame in order of display may lack what they refer to.
            stamp, frame, _ = self._recent[-1]
            if frame.key_frame and not frame.is_corrupt:
                self._recent.clear()
                self._recent.append(_Decoded(stamp, frame, damaged=False))
                self._damaged = False
                return True
        return False

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        """Frees the decoder, which container and stream hold in a circle."""
        if hasattr(self, "_container"):
            self._decoded = iter(())
            self._container.close()

    def _open(self) -> None:
        self._close()
        self._container, self._stream, self.in_order = open_video(self.path)
        self.time_base = Fraction(self._stream.time_base or 1)
        """Seconds of a tick of the stream's stamps."""
        # One thread: memory is bounded, and a file that is cut off is an error (with threads by
        # frame it ends in silence).
        self._stream.codec_context.thread_count, self._stream.thread_type = 1, "NONE"
        self._begin()

    def _begin(self) -> None:
        self._decoded = self._container.decode(self._stream)
        self._recent.clear()
        self._damaged = False

    def _advance(self) -> bool:
        """Decodes a frame; returns False at the end of the file."""
        try:
            for frame in self._decoded:
                stamp = self._stamp(frame)
                if stamp is None or (self._recent and stamp == self._recent[-1].stamp):
                    continue
                if self._recent and stamp < self._recent[-1].stamp:
                    self._recent.clear()  # nothing goes on from here
                    remedy = "convert it, or leave it out"
                    raise VideoError(self.path, "time stamps that go back", remedy=remedy)
                # So may be all that this decoder gives from now on, key frames too.
                self._damaged |= frame.is_corrupt
                self._recent.append(_Decoded(stamp, frame, self._damaged))
                self._forget()
                return True
        except av.FFmpegError as error:
            self._recent.clear()
            detail = f"{error.strerror}: damaged, or cut off"
            raise VideoError(self.path, "cannot be decoded", detail) from error
        return False

    def _stamp(self, frame: av.VideoFrame) -> int | None:
        """Returns a frame's time on the file's clock in ticks; None: unknown."""
        if not self.in_order:
            return frame.pts
        if frame.dts is None and self._recent:  # the decoder's last frames
            last = self._recent[-1]
            return last.stamp + (last.frame.duration or 1)
        return frame.dts

    def _forget(self) -> None:
        frame = self._recent[-1].frame
        size = frame.width * frame.height * frame.format.padded_bits_per_pixel // 8
        most = min(_RECENT_FRAMES, max(2, _RECENT_BYTES // max(1, size)))
        while len(self._recent) > most:
            self._recent.popleft()


def open_video(path: Path) -> tuple[InputContainer, av.VideoStream, bool]:
    """Returns an opened file, its video stream, and whether only its times of decoding are right.

    Raises:
        VideoError: it cannot be opened, or holds no video.
    """
    container = open_file(path)
    if not container.streams:
        container.close()
        raise VideoError(path, CUT_OFF, _NO_INDEX)
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
        container.close()
        raise VideoError(path, "holds no video")
    return container, stream, container.format.name in _IN_ORDER


def open_file(path: Path) -> InputContainer:
    """Returns an opened file, whatever tracks it has.

    Raises:
        VideoError: it cannot be opened.
    """
    try:
        # An absolute path is no address, whatever the name, and a playlist leads to files alone.
        return av.open(os.path.abspath(path), options={"protocol_whitelist": "file"})
    except FileNotFoundError as error:
        raise VideoError(path, "does not exist") from error
    except (av.FFmpegError, OSError) as error:
        if _begins_as_video(path):
            raise VideoError(path, CUT_OFF, _NO_INDEX) from error
        raise VideoError(path, "cannot be opened", error.strerror or "") from error


def _begins_as_video(path: Path) -> bool:
    """Returns whether a file begins as mp4, avi, mkv or flv do."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return head[4:] == b"ftyp" or head.startswith((b"RIFF", b"\x1aE\xdf\xa3", b"FLV"))
