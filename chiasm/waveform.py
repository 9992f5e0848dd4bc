"""Sounds of all kinds as samples; no other file opens sounds.

The rule:

- **Formats**: WAV, AIFF, FLAC, MP3 and Ogg (Vorbis, Opus) are read by libsndfile; all others (m4a,
  mp4, AAC, webm, Matroska, ...) by FFmpeg, of several tracks of sound the first.
- **Values**: integers of b bits are divided by 2^(b-1); floats stay as they are, beyond ±1 too, and
  are refused where they are not finite.
- **Begin and end**: what an encoder put before and behind the sound is taken off where the file
  says how much it is, as FLAC, Ogg, webm, mp4, and MP3 with an encoder's header do. MP3 without one,
  AAC without a container, MPEG-TS and AVI say nothing: such a sound begins late, by 1,105 samples
  of MP3 or 1,024 of AAC with the usual encoders.
- **Channels**: one is the mean of all; two are the file's two, or else twice the mean.
- **Rate**: :mod:`chiasm.resampling`; n samples become ceil(n · wanted rate / own rate).
- Refused are sounds without samples, with more than 8 channels or of rates that no sound has, and
  files that are cut off, so far as they tell.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chiasm.cut_off import refuse_cut_off
from chiasm.errors import UserError
from chiasm.resampling import ratio, reach, resampled

RULE = 1
"""Version of the rule above."""

LEAST_RATE, MOST_RATE = 1_000, 768_000
"""Samples per second."""
MOST_CHANNELS = 8
UNKNOWN_SAMPLES = 1 << 40
"""What a header says that does not know, such as a FLAC that was written into a pipe, or more."""

_CUT_SECONDS = 0.25
"""How much earlier than its header says a Matroska track may end."""


class Waveform:
    """Samples in memory.

    Attributes:
        samples_CT: float32 [channels, samples].
        rate: samples per second.
    """

    __slots__ = ("rate", "samples_CT")

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        """Holds samples [T] or [channels, T], floats or int16.

        Raises:
            UserError: there are none, or the rule refuses them.
        """
        values = np.atleast_2d(np.asarray(samples))
        if values.dtype == np.int16:
            values = values / np.float32(1 << 15)
        if values.dtype.kind != "f" or values.ndim != 2:
            raise UserError(
                f"a sound is given as {values.dtype} {[*np.shape(samples)]}; give floats or int16, "
                "[samples] or [channels, samples]"
            )
        _refuse("in memory", values.shape[1], rate, len(values))
        self.samples_CT: np.ndarray = values.astype(np.float32, copy=False)
        self.rate = int(rate)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples_CT.shape[1] / self.rate

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file in the format of its suffix; a WAV has 16 bits, values beyond ±1 clipped.

        Raises:
            UserError: it cannot be written.
        """
        import soundfile

        try:
            soundfile.write(path, self.samples_CT.T.clip(-1, 1), self.rate)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{path} cannot be written: {error}") from error

    def __repr__(self) -> str:
        channels, samples = self.samples_CT.shape
        return f"<Waveform: {samples} samples, {channels} channels, {self.rate} per second>"

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        file.name = "sound.wav"  # of which the library takes the format
        self.save(file)  # type: ignore[arg-type]
        content = base64.b64encode(file.getvalue()).decode()
        return f'<audio controls src="data:audio/wav;base64,{content}"></audio>'


@dataclass(frozen=True)
class Segment:
    """The samples [begin, end) of a file, counted at its own rate from its first sample."""

    file: Path | bytes
    begin: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end:
            raise UserError(f"a segment [{self.begin}, {self.end}) of a sound holds no samples")


Given = str | os.PathLike[str] | bytes | bytearray | memoryview | Waveform | Segment
"""Accepted forms of a sound: a path, an encoded file's content, samples, a part of a file."""

Held = Path | bytes | Waveform | Segment
"""Stored forms of a sound."""


class Length(NamedTuple):
    """What a file's header says of its sound."""

    seconds: float
    rate: int
    channels: int


def held(given: Given) -> Held:
    """Returns the stored form of a sound; files are not opened.

    Raises:
        UserError: it is none of the accepted forms.
    """
    if isinstance(given, Waveform | Segment):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str | os.PathLike):
        return Path(given)
    raise UserError(
        f"a sound is given as {type(given).__name__}; give a path, the bytes of a file, or samples "
        "with their rate: Waveform(samples, rate)"
    )


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
        if not np.isfinite(found.samples_CT).all():
            raise UserError(f"sound {name} has values that are not finite; write it again")
        made_CT = resampled(_mixed(found.samples_CT, channels), found.rate, rate)
        begin, end = (-(-place * rate // found.rate) for place in (found.begin, found.end))
        return np.ascontiguousarray(made_CT[:, begin:end])


def measured(data: Path | bytes) -> Length:
    """Returns length, rate and channels as the header says; the sound is not decoded.

    Where no header says how long it is, it is decoded after all.

    Raises:
        UserError: it is no sound, or the rule refuses it.
    """
    import soundfile

    name = described(data)
    with _decoding(name):
        try:
            with soundfile.SoundFile(_source(data)) as file:
                if file.frames < UNKNOWN_SAMPLES:
                    _refuse(name, file.frames, file.samplerate, file.channels)
                    return Length(file.frames / file.samplerate, file.samplerate, file.channels)
        except soundfile.LibsndfileError:
            pass
        return _measured_by_ffmpeg(data, name)


def described(data: Held) -> str:
    """Returns a sound's name in messages: its path, or its size."""
    if isinstance(data, Segment):
        return f"{described(data.file)} [{data.begin}, {data.end})"
    return f"of {len(data)} bytes" if isinstance(data, bytes) else str(data)


class _Found(NamedTuple):
    """Samples at their own rate, and the part of them that is wanted."""

    samples_CT: np.ndarray
    rate: int
    begin: int
    end: int


def _read(data: Held, rate: int) -> _Found:
    """Returns a whole sound, or a segment with as much around it as resampling looks at."""
    if isinstance(data, Waveform):
        return _Found(data.samples_CT, data.rate, 0, data.samples_CT.shape[1])
    file = data.file if isinstance(data, Segment) else data
    part = (data.begin, data.end) if isinstance(data, Segment) else None
    import soundfile

    try:
        with soundfile.SoundFile(_source(file)) as opened:
            if opened.frames < UNKNOWN_SAMPLES:
                refuse_cut_off(file, described(file))
                return _by_libsndfile(opened, described(file), part, rate)
    except soundfile.LibsndfileError as error:
        if isinstance(file, Path) and not file.is_file():
            raise FileNotFoundError from error
    return _by_ffmpeg(file, part, rate)


def _by_libsndfile(opened: Any, name: str, part: tuple[int, int] | None, rate: int) -> _Found:
    own, frames = opened.samplerate, opened.frames
    _refuse(name, frames, own, opened.channels)
    begin, end = part or (0, frames)
    first, last = _around(begin, end, own, rate)
    if end > frames:
        raise _behind(name, begin, end, frames)
    opened.seek(first)
    samples_TC = opened.read(min(last, frames) - first, dtype="float32", always_2d=True)
    if len(samples_TC) < min(last, frames) - first:
        read = (first + len(samples_TC)) / own
        raise UserError(
            f"sound {name} is cut off: it ends after {read:.2f} of {frames / own:.2f} s"
        )
    return _Found(samples_TC.T, own, begin - first, end - first)


def _by_ffmpeg(file: Path | bytes, part: tuple[int, int] | None, rate: int) -> _Found:
    import av

    name = described(file)
    with av.open(_source(file), metadata_errors="ignore") as container:
        stream = _track(container, name)
        parts: list[np.ndarray] = []
        num_read, own, begin_pts, end_pts = 0, 0, 0, 0
        last = UNKNOWN_SAMPLES
        floats = av.AudioResampler(format="fltp")
        for packet in container.demux(stream):
            if packet.pts is not None:
                end_pts = max(end_pts, packet.pts + (packet.duration or 0))
            for frame in packet.decode():
                if not own:
                    begin_pts, own = frame.pts or 0, frame.sample_rate
                    _refuse(name, 1, own, frame.layout.nb_channels)
                    last = _around(*part, own, rate)[1] if part else last
                if frame.sample_rate != own:
                    raise UserError(f"sound {name} changes its rate from {own}; convert it")
                for plain in floats.resample(frame):
                    parts.append(plain.to_ndarray())
                    num_read += parts[-1].shape[1]
            if num_read >= last:
                break
        else:
            _refuse(name, num_read, own or LEAST_RATE, 1)
            _refuse_early_end(container, name, num_read / own)
        if "mp4" in container.format.name and end_pts:  # the last packet says where the sound ends
            num_read = min(num_read, round((end_pts - begin_pts) * stream.time_base * own))
    begin, end = part or (0, num_read)
    if end > num_read:
        raise _behind(name, begin, end, num_read)
    first, last = _around(begin, end, own, rate)
    samples_CT = np.concatenate(parts, axis=1)[:, first : min(last, num_read)]
    return _Found(samples_CT, own, begin - first, end - first)


def _measured_by_ffmpeg(file: Path | bytes, name: str) -> Length:
    import av

    with av.open(_source(file), metadata_errors="ignore") as container:
        stream = _track(container, name)
        rate, channels = stream.rate, stream.channels
        _refuse(name, 1, rate, channels)
        if stream.duration:
            return Length(float(stream.duration * stream.time_base), rate, channels)
        if container.duration:
            return Length(container.duration / av.time_base, rate, channels)
    return Length(_by_ffmpeg(file, None, rate).end / rate, rate, channels)


def _track(container: Any, name: str) -> Any:
    if not container.streams.audio:
        raise UserError(f"sound {name} cannot be decoded: the file has no track of sound")
    return container.streams.audio[0]


def _refuse_early_end(container: Any, name: str, seconds: float) -> None:
    """Raises a UserError where a track ends long before the header says: FFmpeg tells nothing."""
    import av

    if "matroska" not in container.format.name or container.streams.video:
        return
    told = (container.duration or 0) / av.time_base
    if seconds < told - _CUT_SECONDS:
        raise UserError(f"sound {name} is cut off: it ends after {seconds:.2f} of {told:.2f} s")


def _around(begin: int, end: int, own: int, rate: int) -> tuple[int, int]:
    """Returns the segment with what resampling looks at, on the grid of the whole sound's."""
    _, down = ratio(own, rate)
    least = reach(own, rate)
    first = max(0, begin - least) // down * down
    return first, end + least


def _mixed(samples_CT: np.ndarray, channels: int) -> np.ndarray:
    if len(samples_CT) == channels:
        return samples_CT
    mean_1T = samples_CT.mean(axis=0, keepdims=True)
    return np.repeat(mean_1T, channels, axis=0)


def _refuse(name: str, samples: int, rate: int, channels: int) -> None:
    wrong = ""
    if samples < 1:
        wrong = "no samples"
    elif not LEAST_RATE <= rate <= MOST_RATE:
        wrong = f"{rate} samples per second; give {LEAST_RATE} to {MOST_RATE}"
    elif not 1 <= channels <= MOST_CHANNELS:
        wrong = f"{channels} channels; give 1 to {MOST_CHANNELS}"
    if wrong:
        raise UserError(f"sound {name} has {wrong}")


def _behind(name: str, begin: int, end: int, samples: int) -> UserError:
    return UserError(f"the segment [{begin}, {end}) of sound {name} lies behind its {samples}")


def _source(file: Path | bytes) -> Any:
    return io.BytesIO(file) if isinstance(file, bytes) else str(file)


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"sound {name} does not exist") from error
    except Exception as error:  # broken bytes make the decoders raise almost anything
        raise UserError(f"sound {name} cannot be decoded: {error}") from error
