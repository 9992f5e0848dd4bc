"""MP3 files that do not say how long they are, which only decoding tells."""

from __future__ import annotations

import io
from pathlib import Path

_MARKS = (b"Xing", b"Info", b"VBRI")
"""Of a first frame that counts the others."""
_FIRST_BYTES = 4096
"""In which it begins, behind a tag."""


def counts_its_frames(file: Path | bytes) -> bool:
    """Returns whether an MP3 begins with a frame that counts the others.

    Raises:
        OSError: the file cannot be read.
    """
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
        head = opened.read(10)
        tag = 0
        if head[:3] == b"ID3" and len(head) == 10:  # its length in four times seven bits
            tag = 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:])))
        opened.seek(tag)
        first = opened.read(_FIRST_BYTES)
    return any(mark in first for mark in _MARKS)
