"""The payload "the frame at time t of file f", and the open files that payloads share.

A payload is a value: it is hashed, compared, pickled and stored in documents like a path, and what
it shows depends on nothing else. That frames of one clip are decoded in one pass is the work of the
readers behind, which go on from the frame before; a payload may name the frames that are soon
wanted beside it.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from chiasm.video.errors import VideoError
from chiasm.video.rule import RULE, Matrix

if TYPE_CHECKING:
    from chiasm.video.reader import VideoReader

_MOST_OPEN = 8
"""Open files, each with a decoder and a few frames in memory."""
_SHOWN_BYTES = 1 << 29
"""Bound of the converted frames in memory."""
_SHARES = 8
"""Of these bytes, those that are decoded together take one share at most."""
_FAILED = np.zeros((0, 0, 3), np.uint8)
"""Stands for a frame that could not be decoded."""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """The frame of a video file on display at a time.

    Args:
        path: the file.
        time: seconds since the first frame.
        untagged: matrix of files that do not name theirs.
        together: rising times, this one among them, of frames of the file that are soon wanted too,
            and so are decoded with it. They are no part of the value.
    """

    path: Path
    time: Fraction
    untagged: Matrix = "by_size"
    together: tuple[Fraction, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path} at {float(self.time):.3f} s"

    def pixels(self) -> np.ndarray:
        """Returns the frame as a viewer shows it: uint8 [H, W, 3], read-only.

        Frames of rising times are decoded in one pass. The last few are kept, since documents are
        often looked at before they are read.

        Raises:
            VideoError: it cannot be read, is damaged, or has colours that are not known.
        """
        return _kept(self._key(None))

    def fitted(self, height: int, width: int) -> np.ndarray:
        """Returns the frame cropped to this aspect ratio and resized: uint8 [H, W, 3], read-only.

        The rule is that of pictures, :func:`chiasm.fitting.fitted`, but that frames much larger
        than this are resized before they become RGB. Those of ``together`` are kept, as far as
        there is room.

        Raises:
            VideoError: as :meth:`pixels`.
        """
        key = self._key((height, width))
        if self.together and _SHOWN.get(key) is None:
            for time in self._near(3 * height * width):
                other = key._replace(time=time)
                try:
                    _kept(other)
                except VideoError:  # which concerns whoever wants that frame
                    _SHOWN.put(other, _FAILED)
        return _kept(key)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape [H, W, 3] of the file's first frame, which is decoded once in a process.

        Raises:
            VideoError: as :meth:`pixels`.
        """
        return _first_shape(self.path, self.untagged, version_of(self.path))

    def content(self) -> bytes:
        """Returns what the pixels depend on, as bytes: the file's content, the time, the rule.

        Nothing is decoded. The file is read once, and again where it has changed.

        Raises:
            VideoError: the file cannot be read.
        """
        rule = f"video frame by rule {RULE}, {self.untagged}, at {self.time} s of "
        return rule.encode() + content_hash(self.path)

    def _key(self, size: tuple[int, int] | None) -> _Key:
        return _Key(self.path, version_of(self.path), self.time, self.untagged, size)

    def _near(self, frame_bytes: int) -> tuple[Fraction, ...]:
        """Returns those of ``together`` for which there is room, the same for each of them."""
        most = max(1, _SHOWN_BYTES // _SHARES // frame_bytes)
        place = bisect_left(self.together, self.time)
        begin = place - place % most
        return self.together[begin : begin + most]


class _Key(NamedTuple):
    """All that a converted frame depends on."""

    path: Path
    version: tuple[int, ...]
    time: Fraction
    untagged: Matrix
    size: tuple[int, int] | None


def _kept(key: _Key) -> np.ndarray:
    """Returns a frame of a size, decoded unless it is kept."""
    from chiasm.video.colors import Refused, upright

    if (kept := _SHOWN.get(key)) is not None and kept is not _FAILED:
        return kept
    with _OPEN.reader(key.path, key.version) as reader:
        try:
            own = reader.at(Fraction(key.time))
            told = reader.turn, reader.pixel_aspect, key.untagged, reader.converter
            pixels = upright(own, *told, key.size)
        except Refused as error:
            raise VideoError(key.path, str(error)) from error
    _SHOWN.put(key, pixels)
    return pixels


def content_hash(path: Path) -> bytes:
    """Returns a 128-bit hash of a file's bytes; a file that stays is read once in a process.

    Raises:
        VideoError: it cannot be read.
    """
    version = version_of(path)
    try:
        return _hashed(path, *version)
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error


def origin(path: Path) -> Fraction:
    """Returns the stamp of a file's first frame on the file's clock, in seconds.

    Raises:
        VideoError: it cannot be read.
    """
    with _OPEN.reader(path, version_of(path)) as reader:
        return reader.origin


@lru_cache(1 << 16)
def _first_shape(path: Path, untagged: Matrix, version: tuple[int, ...]) -> tuple[int, ...]:
    return VideoFrame(path, Fraction(0), untagged).pixels().shape


@lru_cache(1 << 16)
def _hashed(path: Path, *version: int) -> bytes:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def version_of(path: Path) -> tuple[int, ...]:
    """Returns numbers that change whenever a file does: its change time nobody can set back.

    Raises:
        VideoError: the file is not there.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Shared:
    """A reader for one thread at a time."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.reader: VideoReader | None = None


class _OpenFiles:
    """Readers of the files that were read last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._shared: OrderedDict[tuple, _Shared] = OrderedDict()

    @contextmanager
    def reader(self, path: Path, version: tuple[int, ...]) -> Iterator[VideoReader]:
        """Yields a file's reader, whose place in the file is that of the last call.

        Raises:
            VideoError: it cannot be opened, or the code inside fails.
        """
        from chiasm.video.reader import VideoReader

        with self._lock:
            shared = self._shared.setdefault((path, version), _Shared())
            self._shared.move_to_end((path, version))
            if len(self._shared) > _MOST_OPEN:
                self._shared.popitem(last=False)
        with shared.lock:
            reader, shared.reader = shared.reader or VideoReader(path), None
            yield reader
            shared.reader = reader  # one that failed is opened anew


class _Pictures:
    """The frames that were converted last, by file, time and rule."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pixels: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> np.ndarray | None:
        """Returns a frame; None: it is not here."""
        with self._lock:
            return self._pixels.get(key)

    def put(self, key: Hashable, pixels: np.ndarray) -> None:
        """Keeps a frame, and forgets those that were put first."""
        pixels.flags.writeable = False
        with self._lock:
            self._bytes += pixels.nbytes - getattr(self._pixels.get(key), "nbytes", 0)
            self._pixels[key] = pixels
            while self._bytes > _SHOWN_BYTES:
                self._bytes -= self._pixels.popitem(last=False)[1].nbytes


_OPEN, _SHOWN = _OpenFiles(), _Pictures()


def _forget() -> None:
    """Opens files anew in a forked process: it would share their places with the first one."""
    global _OPEN, _SHOWN
    _OPEN, _SHOWN = _OpenFiles(), _Pictures()


os.register_at_fork(after_in_child=_forget)
