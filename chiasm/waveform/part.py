"""What is read of a file: samples at its own rate, with as much around them as is needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chiasm.errors import UserError
from chiasm.waveform.resampling import ratio, reach

UNKNOWN_SAMPLES = 1 << 40
"""What a header says that does not know, such as a FLAC that was written into a pipe, or more."""


class Part(NamedTuple):
    """Samples at their own rate, and the part of them that is wanted."""

    samples_CT: np.ndarray
    rate: int
    begin: int
    end: int


def around(begin: int, end: int, own: int, rate: int) -> tuple[int, int]:
    """Returns the segment with what resampling looks at, on the grid of the whole sound's."""
    _, down = ratio(own, rate)
    least = reach(own, rate)
    first = max(0, begin - least) // down * down
    return first, end + least


def behind(name: str, begin: int, end: int, samples: int) -> UserError:
    """Returns the error of a segment that is not there."""
    return UserError(f"the segment [{begin}, {end}) of sound {name} lies behind its {samples}")


def source(file: Path | bytes) -> Any:
    """Returns a file as decoders take it."""
    return io.BytesIO(file) if isinstance(file, bytes) else str(file)
