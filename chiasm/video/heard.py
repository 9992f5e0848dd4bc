"""The payload "what is heard from time t to u of file f", a value as frames are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chiasm.video.frame import origin, version_of

if TYPE_CHECKING:
    from chiasm.video.track import Track

_CHUNK_SECONDS = 8
"""What is decoded at once: clips that lie together are read together."""
_CHUNKS = 16


@dataclass(frozen=True, slots=True)
class VideoSound:
    """The sound of a video file between two times.

    Args:
        path: the file.
        begin: seconds since the first frame.
        end: likewise.
    """

    path: Path
    begin: Fraction
    end: Fraction

    def __str__(self) -> str:
        return f"of {self.path} at {float(self.begin):.3f} to {float(self.end):.3f} s"

    @property
    def rate(self) -> int:
        """Samples per second of the file.

        Raises:
            VideoError: it has no sound that can be decoded.
        """
        return _track(self.path, version_of(self.path)).rate

    def part(self, first: int, last: int) -> np.ndarray:
        """Returns samples [first, last) since the file's first frame: float32 [channels, samples].

        They need not lie within the times. Where the file has no sound there is silence.

        Raises:
            VideoError: they cannot be decoded.
        """
        length, version = _CHUNK_SECONDS * self.rate, version_of(self.path)
        parts = []
        for number in range(first // length, -(-last // length)):
            begin = number * length
            chunk_CT = _chunk(self.path, version, number)
            parts.append(chunk_CT[:, max(0, first - begin) : last - begin])
        channels = max(map(len, parts))  # one where there is silence
        return np.concatenate(
            [np.broadcast_to(part, (channels, part.shape[1])) for part in parts], axis=1
        )


@lru_cache(1 << 10)
def _track(path: Path, version: tuple[int, ...]) -> Track:
    from chiasm.video.track import open_track  # what only reads a recipe needs no PyAV

    return open_track(path)


@lru_cache(_CHUNKS)
def _chunk(path: Path, version: tuple[int, ...], number: int) -> np.ndarray:
    track = _track(path, version)
    length = _CHUNK_SECONDS * track.rate
    return track.part(origin(path), number * length, (number + 1) * length)
