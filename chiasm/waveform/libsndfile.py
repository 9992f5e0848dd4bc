"""Files that libsndfile reads: WAV, AIFF, FLAC, MP3, Ogg with Vorbis or Opus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.waveform.cut_off import refuse_cut_off
from chiasm.waveform.mp3 import counts_its_frames
from chiasm.waveform.part import UNKNOWN_SAMPLES, Part, around, behind, source
from chiasm.waveform.samples import Length, described, refuse


def read(file: Path | bytes, part: tuple[int, int] | None, rate: int) -> Part | None:
    """Returns the whole sound or a segment; None where libsndfile does not know the
    format or the length.

    Raises:
        UserError: it is refused, cut off, or shorter than the segment.
    """
    import soundfile

    try:
        with soundfile.SoundFile(source(file)) as opened:
            if _knows_its_length(opened, file):
                refuse_cut_off(file, described(file))
                return _read(opened, described(file), part, rate)
    except soundfile.LibsndfileError:
        pass
    return None


def measure(file: Path | bytes) -> Length | None:
    """Returns what the header says; None where libsndfile does not know the
    format or the length.

    Raises:
        UserError: it is refused, or cut off.
    """
    import soundfile

    try:
        with soundfile.SoundFile(source(file)) as opened:
            if _knows_its_length(opened, file):
                refuse_cut_off(file, described(file))
                refuse(described(file), opened.frames, opened.samplerate, opened.channels)
                return Length(opened.frames, opened.samplerate, opened.channels)
    except soundfile.LibsndfileError:
        pass
    return None


def _knows_its_length(opened: Any, file: Path | bytes) -> bool:
    """Whether the number of samples is not a guess by the first frame's bit rate."""
    if opened.format in ("MP3", "MPEG") and not counts_its_frames(file):
        return False
    return opened.frames < UNKNOWN_SAMPLES


def _read(opened: Any, name: str, part: tuple[int, int] | None, rate: int) -> Part:
    own, frames = opened.samplerate, opened.frames
    refuse(name, frames, own, opened.channels)
    begin, end = part or (0, frames)
    first, last = around(begin, end, own, rate)
    if end > frames:
        raise behind(name, begin, end, frames)
    opened.seek(first)
    samples_TC = opened.read(min(last, frames) - first, dtype="float32", always_2d=True)
    if len(samples_TC) < min(last, frames) - first:
        read = (first + len(samples_TC)) / own
        raise UserError(
            f"sound {name} is cut off: it ends after {read:.2f} of {frames / own:.2f} s"
        )
    return Part(samples_TC.T, own, begin - first, end - first)
