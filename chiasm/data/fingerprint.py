"""What users' files hold, as a short hash: by it what was made of them is known again.

A file up to a mebibyte is read whole; of a larger one its size and 64 blocks spread from its first
byte to its last. Times do not count: a copy is the same data, and an edited file with its old time
stamp is not.
"""

from __future__ import annotations

import numpy as np
import xxhash

from chiasm.data.files import find_files
from chiasm.data.survey import READING

WHOLE_BYTES = 1 << 20
_BLOCKS = 64
_BLOCK_BYTES = WHOLE_BYTES // _BLOCKS


def fingerprint(path: str, setting: str = "path") -> str:
    """Returns 16 hexadecimal digits for the files of a path; none where nothing is there.

    Names count relative to the path, and so does the version of the code that reads.

    Raises:
        UserError: a pattern that no file matches.
    """
    found = find_files(path, setting)
    if found is None:
        return ""
    digest = xxhash.xxh3_64(f"reading {READING}".encode())
    for file in found.data:
        size = file.stat().st_size
        digest.update(f"\0{file.relative_to(found.root).as_posix()}\0{size}\0".encode())
        with file.open("rb") as opened:
            if size <= WHOLE_BYTES:
                digest.update(opened.read())
                continue
            for begin in np.linspace(0, size - _BLOCK_BYTES, _BLOCKS).astype(int).tolist():
                opened.seek(begin)
                digest.update(opened.read(_BLOCK_BYTES))
    return digest.hexdigest()
