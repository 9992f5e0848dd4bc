"""The sound track of a video file, sample by sample on the clock of its pictures.

Sample n is the one that is heard n / rate seconds after the file's first frame; those before have
negative numbers. A sample's place is told by the stamp of its packet, as players have it: what an
encoder put before the sound is left out where the file says so, and lies before the first frame
elsewhere. Samples that follow one another stay together where stamps are rounded; where one is off
by more, as behind a gap, it counts, and gaps are silence, as is all that the track does not have.
Of several tracks the first is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, repeat
from math import floor
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from chiasm.video.errors import NO_SOUND, VideoError
from chiasm.video.reader import open_file

_LEAD_SECONDS = Fraction(1, 2)
"""From which on decoding begins before a part: decoders need some of what was before."""
_STEPS_BACK = (0, 2, 8, 32)
"""Further seconds before it to which seeks go, until one leads there."""
_ROUNDING = Fraction(3, 2)
"""Ticks of a stamp, or samples, by which stamps may be off."""

_UNEVEN = frozenset({"vorbis"})
"""Codecs whose packets have no length in common."""


@dataclass(frozen=True)
class Track:
    """What is known of a track when its first samples are decoded."""

    path: Path
    rate: int
    """Samples per second."""
    start: Fraction
    """Of the first sample, on the file's clock."""
    second: Fraction
    """End of the first packet, where the second one begins."""
    end: Fraction | None
    """Behind the last one, as mp4 and mov tell it: padding comes after."""
    step: int
    """Samples of each packet behind the first; 0: they differ."""
    tolerance: Fraction
    """Seconds by which stamps may be off."""

    def part(self, origin: Fraction, first: int, last: int) -> np.ndarray:
        """Returns samples [first, last), float32 [channels, last - first].

        Args:
            origin: stamp of the file's first frame, on the file's clock.
            first: number of the first sample.
            last: number of the one behind.

        Raises:
            VideoError: they cannot be decoded.
        """
        begin, end = (origin + Fraction(place, self.rate) for place in (first, last))
        end = end if self.end is None else min(end, self.end)
        made_CT = np.zeros((1, last - first), np.float32)
        with _decoding(self.path), _opened(self.path) as container:
            for stamp, samples_CT in self._placed(container, begin):
                if stamp >= end:
                    break
                if len(samples_CT) != len(made_CT):
                    if made_CT.any():
                        raise VideoError(self.path, "its sound changes its channels")
                    made_CT = np.zeros((len(samples_CT), last - first), np.float32)
                most = round((end - stamp) * self.rate)
                _put(made_CT, samples_CT[:, :most], round((stamp - begin) * self.rate))
        return made_CT

    def _placed(
        self, container: InputContainer, begin: Fraction
    ) -> Iterator[tuple[Fraction, np.ndarray]]:
        """Yields samples from a time on or before it, and the times of the first of each."""
        expected = None
        for stamp, samples_CT in self._from(container, begin):
            place = self._on_grid(stamp)
            if place is None:
                place = stamp
                if expected is not None and abs(stamp - expected) <= self.tolerance:
                    place = expected
            yield place, samples_CT
            expected = place + Fraction(samples_CT.shape[1], self.rate)

    def _on_grid(self, stamp: Fraction) -> Fraction | None:
        """Returns the time of a packet that those before it lead to, if all are alike."""
        if not self.step or stamp < self.second:
            return None
        packets = round((stamp - self.second) * self.rate / self.step)
        counted = self.second + Fraction(packets * self.step, self.rate)
        return counted if abs(counted - stamp) <= self.tolerance else None

    def _from(
        self, container: InputContainer, begin: Fraction
    ) -> Iterator[tuple[Fraction, np.ndarray]]:
        """Yields what is decoded from enough before a time on."""
        target = begin - _LEAD_SECONDS
        for back in _STEPS_BACK:
            if target - back <= self.start:
                break
            for sought in (_seek_sound, _seek_any):
                if not sought(container, target - back):
                    continue
                decoded = _decoded(container, self.rate, self.path)
                first = next(decoded, None)
                if first is not None and first[0] <= target:
                    yield first
                    yield from decoded
                    return
        with _opened(self.path) as anew:
            yield from _decoded(anew, self.rate, self.path)


def open_track(path: Path) -> Track:
    """Returns the first sound track of a file.

    Raises:
        VideoError: it has none, or it cannot be decoded.
    """
    with _decoding(path), _opened(path) as container:
        stream = container.streams.audio[0]
        first, second = islice(chain(_decoded(container, 0, path), repeat(None)), 2)
        if first is None or stream.time_base is None:
            raise VideoError(path, NO_SOUND)
        rate, tick = stream.codec_context.sample_rate, Fraction(stream.time_base)
        end = None
        if "mp4" in container.format.name and stream.duration:
            end = ((stream.start_time or 0) + stream.duration) * tick
        step = 0
        if second is not None and stream.codec_context.name not in _UNEVEN:
            step = second[1].shape[1]
        return Track(
            path,
            rate,
            start=first[0],
            second=first[0] + Fraction(first[1].shape[1], rate),
            end=end,
            step=step,
            tolerance=_ROUNDING * max(tick, Fraction(1, rate)),
        )


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with open_file(path) as container:
        if not container.streams.audio:
            raise VideoError(path, NO_SOUND)
        yield container


def _decoded(
    container: InputContainer, rate: int, path: Path
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Yields stamps on the file's clock and samples, float32 [channels, samples]."""
    floats = av.AudioResampler(format="fltp")
    stream = container.streams.audio[0]
    for frame in container.decode(stream):
        if rate and frame.sample_rate != rate:
            raise VideoError(path, "its sound changes its rate")
        if frame.pts is None or frame.time_base is None:
            continue
        stamp = frame.pts * Fraction(frame.time_base)
        for plain in floats.resample(frame):
            yield stamp, plain.to_ndarray()


def _seek_sound(container: InputContainer, target: Fraction) -> bool:
    stream = container.streams.audio[0]
    try:
        container.seek(floor(target / Fraction(stream.time_base or 1)), stream=stream)
    except av.FFmpegError:
        return False  # some files have no index of their sound
    return True


def _seek_any(container: InputContainer, target: Fraction) -> bool:
    try:
        container.seek(floor(target * av.time_base))
    except av.FFmpegError:
        return False
    return True


def _put(made_CT: np.ndarray, samples_CT: np.ndarray, place: int) -> None:
    """Writes samples to a place, as far as they lie within."""
    begin, end = max(0, place), min(made_CT.shape[1], place + samples_CT.shape[1])
    if begin < end:
        made_CT[:, begin:end] = samples_CT[:, begin - place : end - place]


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise VideoError(path, "its sound cannot be decoded", str(error.strerror)) from error
