"""Sounds as they are given: samples in memory, files, and parts of files."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chiasm.errors import UserError
from chiasm.video.heard import VideoSound

LEAST_RATE, MOST_RATE = 1_000, 768_000
"""Samples per second."""
MOST_CHANNELS = 8


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
        refuse("in memory", values.shape[1], rate, len(values))
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


Given = str | os.PathLike[str] | bytes | bytearray | memoryview | Waveform | Segment | VideoSound
"""Accepted forms of a sound: a path, an encoded file's content, samples, a part of a file, what is
heard between two times of a video."""

Held = Path | bytes | Waveform | Segment | VideoSound
"""Stored forms of a sound."""


class Length(NamedTuple):
    """Size of a file's sound."""

    samples: int
    """Of each channel."""
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate


def held(given: Given) -> Held:
    """Returns the stored form of a sound; files are not opened.

    Raises:
        UserError: it is none of the accepted forms.
    """
    if isinstance(given, Waveform | Segment | VideoSound):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str | os.PathLike):
        return Path(given)
    raise UserError(
        f"a sound is given as {type(given).__name__}; give a path, the bytes of a file, or samples "
        "with their rate: Waveform(samples, rate)"
    )


def described(data: Held) -> str:
    """Returns a sound's name in messages: its path, or its size."""
    if isinstance(data, Segment):
        return f"{described(data.file)} [{data.begin}, {data.end})"
    return f"of {len(data)} bytes" if isinstance(data, bytes) else str(data)


def refuse(name: str, samples: int, rate: int, channels: int) -> None:
    """Refuses what is no sound: no samples, or a rate or channels that no sound has.

    Raises:
        UserError: it is none.
    """
    wrong = ""
    if samples < 1:
        wrong = "no samples"
    elif not LEAST_RATE <= rate <= MOST_RATE:
        wrong = f"{rate} samples per second; give {LEAST_RATE} to {MOST_RATE}"
    elif not 1 <= channels <= MOST_CHANNELS:
        wrong = f"{channels} channels; give 1 to {MOST_CHANNELS}"
    if wrong:
        raise UserError(f"sound {name} has {wrong}")
