"""Keys of pictures: content hashes, computed without decoding.

The key of a picture is the 128-bit xxh3 hash of its source: the bytes of the file, or the pixels
where the source has pixels; for the frame of a video, of the file's hash and the time. It does not
depend on the file's path, on the document or on its number, and costs microseconds where decoding
costs milliseconds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import xxhash

from chiasm.documents import Continuous
from chiasm.errors import UserError
from chiasm.video.frame import VideoFrame

KEY_BYTES = 16


def picture_key(image: Continuous) -> bytes:
    """Returns KEY_BYTES bytes: equal for equal files, and for equal pixels in memory.

    Raises:
        UserError: the file cannot be read.
    """
    data = image.data
    if isinstance(data, np.ndarray):
        digest = xxhash.xxh3_128(f"{data.shape} {_name(data.dtype)}".encode())
        digest.update(np.ascontiguousarray(data).data)
        return digest.digest()
    if isinstance(data, VideoFrame):
        return xxhash.xxh3_128_digest(data.content())
    if isinstance(data, bytes):
        return xxhash.xxh3_128_digest(data)
    try:
        return xxhash.xxh3_128_digest(data.read_bytes())
    except OSError as error:
        raise UserError(f"picture {data} cannot be read: {error}") from error


@cache
def _name(dtype: np.dtype) -> str:
    """Returns its name, which numpy puts together anew at every call."""
    return str(dtype)
