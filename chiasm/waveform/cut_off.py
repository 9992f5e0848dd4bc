"""Files of sound that end before their own structure does, which decoders take for their end."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from chiasm.errors import UserError

_STREAMED_BYTES = 0x7FFF0000
"""From here on a WAV's size is no size, but that of one that was written into a pipe."""
_LONGEST_PAGE = 27 + 255 + 255 * 255
"""Bytes of an Ogg page: header, table of segments, segments."""


def refuse_cut_off(file: Path | bytes, name: str) -> None:
    """Refuses a WAV whose samples, or an Ogg file whose last page, are not all there.

    Raises:
        UserError: it is cut off.
        OSError: the file cannot be read.
    """
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(0)
        kind = opened.read(4)
        if kind == b"RIFF":
            missing = _missing_of_wav(opened, size)
        elif kind == b"OggS":
            missing = _missing_of_ogg(opened, size)
        else:
            return
    if missing > 0:
        raise UserError(f"sound {name} is cut off: its last {missing} bytes or more are missing")


def _missing_of_wav(opened: BinaryIO, size: int) -> int:
    """Returns how many bytes of the samples are missing."""
    opened.seek(12)
    while len(head := opened.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return 0 if length >= _STREAMED_BYTES else opened.tell() + length - size
        opened.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _missing_of_ogg(opened: BinaryIO, size: int) -> int:
    """Returns how many bytes of the last page are missing."""
    begin = max(0, size - _LONGEST_PAGE)
    opened.seek(begin)
    rest = opened.read()
    last = rest.rfind(b"OggS")
    if last < 0 or len(rest) < last + 27:
        return 0
    table = rest[last + 27 : last + 27 + rest[last + 26]]
    return last + 27 + rest[last + 26] + sum(table) - len(rest)
