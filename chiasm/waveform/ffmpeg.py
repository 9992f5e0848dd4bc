"""All other files of sound, and tracks of sound in files of video, by FFmpeg."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.errors import UserError
from chiasm.waveform.part import Part, around, behind, source
from chiasm.waveform.samples import LEAST_RATE, Length, described, refuse

_CUT_SECONDS = 0.25
"""How much earlier than its header says a Matroska track may end."""


def read(file: Path | bytes, part: tuple[int, int] | None, rate: int) -> Part:
    """Returns the whole sound or a segment; what lies before a segment is decoded too.

    Raises:
        UserError: it is refused, cut off, or shorter than the segment.
        OSError, ValueError: it cannot be decoded.
    """
    import av

    name = described(file)
    with av.open(source(file), metadata_errors="ignore") as container:
        found = _Decoded(name)
        for packet in container.demux(_track(container, name)):
            found.add(packet)
            if part and found.own and found.num_samples >= around(*part, found.own, rate)[1]:
                break
        else:
            refuse(name, found.num_samples, found.own or LEAST_RATE, 1)
            _refuse_early_end(container, name, found.num_samples / found.own)
        samples_CT = found.samples_CT(_end_seconds(container))
    length = samples_CT.shape[1]
    begin, end = part or (0, length)
    if end > length:
        raise behind(name, begin, end, length)
    first, last = around(begin, end, found.own, rate)
    return Part(samples_CT[:, first:last], found.own, begin - first, end - first)


def measure(file: Path | bytes) -> Length:
    """Returns the size of a sound: of an mp4 as its header says, of others by decoding them.

    Raises:
        UserError: it is refused, or cut off.
        OSError, ValueError: it cannot be decoded.
    """
    import av

    name = described(file)
    with av.open(source(file), metadata_errors="ignore") as container:
        stream = _track(container, name)
        rate, channels = stream.rate, stream.channels
        refuse(name, 1, rate, channels)
        if end_seconds := _end_seconds(container):
            return Length(round(end_seconds * rate), rate, channels)
        found = _Decoded(name, keeps=False)
        for packet in container.demux(stream):
            found.add(packet)
        refuse(name, found.num_samples, found.own or LEAST_RATE, 1)
        _refuse_early_end(container, name, found.num_samples / found.own)
        return Length(found.num_samples, found.own, channels)


class _Decoded:
    """The samples of a track, packet by packet; they are counted, and kept if asked to."""

    def __init__(self, name: str, *, keeps: bool = True) -> None:
        from av import AudioResampler

        self._name, self._keeps = name, keeps
        self._floats = AudioResampler(format="fltp")
        self._parts: list[np.ndarray] = []
        self._begin_seconds, self._end_seconds = Fraction(0), Fraction(0)
        self.own = 0
        self.num_samples = 0

    def add(self, packet: Any) -> None:
        """Decodes a packet."""
        if packet.pts is not None:
            end_seconds = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end_seconds = max(self._end_seconds, end_seconds)
        for frame in packet.decode():
            if not self.own:
                self._begin_seconds = (frame.pts or 0) * frame.time_base
                self.own = frame.sample_rate
                refuse(self._name, 1, self.own, frame.layout.nb_channels)
            if frame.sample_rate != self.own:
                raise UserError(f"sound {self._name} changes its rate from {self.own}; convert it")
            for plain in self._floats.resample(frame):
                self.num_samples += plain.samples
                if self._keeps:
                    self._parts.append(plain.to_ndarray())

    def samples_CT(self, end_seconds: Fraction | None) -> np.ndarray:
        """Returns the samples up to the end that the header and the last packet tell, if any."""
        samples_CT = np.concatenate(self._parts, axis=1)
        if end_seconds is None:
            return samples_CT
        end_seconds = min(end_seconds, self._end_seconds or end_seconds)
        return samples_CT[:, : round((end_seconds - self._begin_seconds) * self.own)]


def _track(container: Any, name: str) -> Any:
    if not container.streams.audio:
        raise UserError(f"sound {name} cannot be decoded: the file has no track of sound")
    return container.streams.audio[0]


def _end_seconds(container: Any) -> Fraction | None:
    """Returns where a track ends, as the headers of mp4, m4a and mov tell to the sample."""
    stream = container.streams.audio[0]
    if "mp4" not in container.format.name or not stream.duration:
        return None
    end_seconds: Fraction = ((stream.start_time or 0) + stream.duration) * stream.time_base
    return end_seconds


def _refuse_early_end(container: Any, name: str, seconds: float) -> None:
    """Raises a UserError where a track ends long before the header says: FFmpeg tells nothing."""
    import av

    if "matroska" not in container.format.name or container.streams.video:
        return
    told = (container.duration or 0) / av.time_base
    if seconds < told - _CUT_SECONDS:
        raise UserError(f"sound {name} is cut off: it ends after {seconds:.2f} of {told:.2f} s")
