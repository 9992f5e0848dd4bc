"""Sounds of all kinds as samples; no other file opens sounds.

The rule:

- **Formats**: WAV, AIFF, FLAC, MP3 and Ogg (Vorbis, Opus) are read by libsndfile; all others (m4a,
  mp4, AAC, webm, Matroska, ...) by FFmpeg, of several tracks of sound the first.
- **Values**: integers of b bits are divided by 2^(b-1); floats stay as they are, beyond ±1 too, and
  are refused where they are not finite.
- **Begin and end**: what an encoder put before and behind the sound is taken off where the file
  says how much it is, as FLAC, Ogg, webm, mp4, and MP3 with an encoder's header do. MP3 without
  one, AAC without a container, MPEG-TS and AVI say nothing: such a sound begins late, with the
  usual encoders by 1,105 samples of MP3 or 1,024 of AAC.
- **Channels**: one is the mean of all; two are the file's two, or else twice the mean.
- **Rate**: :mod:`chiasm.waveform.resampling`; n samples become ceil(n · wanted rate / own rate).
- **Videos**: what is heard between two times since the first frame, by :mod:`chiasm.video.track`.
- Refused are sounds without samples, with more than 8 channels or of rates that no sound has, and
  files that are cut off, so far as they tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np

from chiasm.errors import UserError
from chiasm.video.heard import VideoSound
from chiasm.waveform import ffmpeg, libsndfile
from chiasm.waveform.part import Part, around
from chiasm.waveform.resampling import resampled
from chiasm.waveform.samples import Held, Length, Segment, Waveform, described, refuse

RULE = 1
"""Version of the rule above."""

_MOST_PER_BYTE = 10_000
"""Samples that a byte holds at most, of silence; a header that promises more is damaged."""


def decoded(data: Held, rate: int, channels: int = 1) -> np.ndarray:
    """Returns the samples of a sound by the module's rule: float32 [channels, T].

    Args:
        data: the sound.
        rate: wanted samples per second.
        channels: 1 or 2.

    Raises:
        UserError: the file cannot be read or decoded, a segment lies behind its end, or the rule
            refuses it.
    """
    name = described(data)
    with _decoding(name):
        found = _read(data, rate)
        if not _is_finite(found.samples_CT):
            raise UserError(f"sound {name} has values that are not finite; write it again")
        made_CT = resampled(_mixed(found.samples_CT, channels), found.rate, rate)
        begin, end = (-(-place * rate // found.rate) for place in (found.begin, found.end))
        return np.ascontiguousarray(made_CT[:, begin:end])


def measured(data: Path | bytes, name: str = "") -> Length:
    """Returns samples, rate and channels of a file; ``name`` is for messages.

    They are those of its header; where it does not tell them to the sample, the sound is decoded.

    Raises:
        UserError: it is no sound, or the rule refuses it.
    """
    name = name or described(data)
    with _decoding(name):
        found = libsndfile.measure(data) or ffmpeg.measure(data)
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        if found.samples > _MOST_PER_BYTE * size:
            raise UserError(
                f"sound {name} is cut off: {size} bytes hold no {found.samples} samples"
            )
        return found


def _read(data: Held, rate: int) -> Part:
    """Returns a whole sound, or a segment with as much around it as resampling looks at."""
    if isinstance(data, Waveform):
        return Part(data.samples_CT, data.rate, 0, data.samples_CT.shape[1])
    if isinstance(data, VideoSound):
        return _of_video(data, rate)
    if isinstance(data, Segment):
        file, wanted = data.file, (data.begin, data.end)
    else:
        file, wanted = data, None
    return libsndfile.read(file, wanted, rate) or ffmpeg.read(file, wanted, rate)


def _of_video(data: VideoSound, rate: int) -> Part:
    own = data.rate
    begin, end = (round(time * own) for time in (data.begin, data.end))
    first, last = around(begin, end, own, rate)
    samples_CT = data.part(first, last)
    refuse(str(data), end - begin, own, len(samples_CT))
    return Part(samples_CT, own, begin - first, end - first)


def _mixed(samples_CT: np.ndarray, channels: int) -> np.ndarray:
    if len(samples_CT) == channels:
        return samples_CT
    # Channel by channel: of channels that alternate in memory, numpy's mean takes 20 times as long.
    mean_T = reduce(np.add, samples_CT) / len(samples_CT)
    return np.repeat(mean_T[None], channels, axis=0)


def _is_finite(samples_CT: np.ndarray) -> bool:
    # NaN is the largest and the smallest of all: no table of what is finite is made.
    return bool(np.isfinite(samples_CT.max(initial=0)) and np.isfinite(samples_CT.min(initial=0)))


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"sound {name} does not exist") from error
    except Exception as error:  # broken bytes make the decoders raise almost anything
        said = getattr(error, "strerror", None) or error
        raise UserError(f"sound {name} cannot be decoded: {said}") from error
