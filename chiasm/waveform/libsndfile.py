"""Files that libsndfile reads: WAV, AIFF, FLAC, MP3, Ogg with Vorbis or Opus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from chiasm.errors import UserError
from chiasm.waveform.cut_off import refuse_cut_off
from chiasm.waveform.mp3 import counts_its_frames
from chiasm.waveform.part import UNKNOWN_SAMPLES, Part, around, behind, source
from chiasm.waveform.samples import Length, described, refuse

Made = TypeVar("Made")

_TELL_THEIR_BYTES = ("WAV", "WAVEX", "OGG")
"""Formats of which :func:`refuse_cut_off` knows what is missing."""


def read(file: Path | bytes, part: tuple[int, int] | None, rate: int) -> Part | None:
    """Returns the whole sound or a segment; None where libsndfile does not know the
    format or the length.

    Raises:
        UserError: it is refused, cut off, or shorter than the segment.
    """
    return _of_known(file, lambda opened: _read(opened, described(file), part, rate))


def measure(file: Path | bytes) -> Length | None:
    """Returns what the header says; None where libsndfile does not know the
    format or the length.

    Raises:
        UserError: it is refused, or cut off.
    """
    return _of_known(file, lambda opened: _measure(opened, described(file)))


def _of_known(file: Path | bytes, use: Callable[[Any], Made]) -> Made | None:
    """Returns what is made of an opened file that libsndfile knows, and that is not cut off."""
    import soundfile

    try:
        with soundfile.SoundFile(source(file)) as opened:
            if _knows_its_length(opened, file):
                if opened.format in _TELL_THEIR_BYTES:
                    refuse_cut_off(file, described(file))
                return use(opened)
    except soundfile.LibsndfileError:
        pass
    return None


def _knows_its_length(opened: Any, file: Path | bytes) -> bool:
    """Whether the number of samples is not a guess by the first frame's bit rate."""
    if opened.format in ("MP3", "MPEG") and not counts_its_frames(file):
        return False
    return opened.frames < UNKNOWN_SAMPLES


def _measure(opened: Any, name: str) -> Length:
    refuse(name, opened.frames, opened.samplerate, opened.channels)
    return Length(opened.frames, opened.samplerate, opened.channels)


def _read(opened: Any, name: str, part: tuple[int, int] | None, rate: int) -> Part:
    own, frames = opened.samplerate, opened.frames
    refuse(name, frames, own, opened.channels)
    begin, end = part or (0, frames)
    first, last = around(begin, end, own, rate)
    if end > frames:
        raise behind(name, begin, end, frames)
    if first:
        opened.seek(first)
    samples_TC = opened.read(min(last, frames) - first, dtype="float32", always_2d=True)
    if len(samples_TC) < min(last, frames) - first:
        read = (first + len(samples_TC)) / own
        raise UserError(
            f"sound {name} is cut off: it ends after {read:.2f} of {frames / own:.2f} s"
        )
    return Part(samples_TC.T, own, begin - first, end - first)
