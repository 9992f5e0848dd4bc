"""Short hash of the content of users' files: the key of everything derived from them.

A file up to a mebibyte is hashed whole; a larger one by its size and 64 blocks spread from its
first byte to its last. Times do not count: a copy has the same hash, and an edited file with its
old time stamp has another.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xxhash

from chiasm.data.files import find_files, shown_name
from chiasm.data.storage import stamp, url_of
from chiasm.data.survey import READING
from chiasm.errors import UserError

WHOLE_BYTES = 1 << 20
_BLOCKS = 64
_BLOCK_BYTES = WHOLE_BYTES // _BLOCKS


def fingerprint(path: str) -> str:
    """Returns 16 hexadecimal digits for the files of a path; empty if the path does not exist.

    Names count relative to the path, and so does the version of the code that reads.

    Raises:
        UserError: a pattern that no file matches, or a file that may not be read.
    """
    found = find_files(path)
    if found is None:
        return ""
    digest = xxhash.xxh3_64(f"reading {READING}".encode())
    for file in found.data:
        digest.update(b"\0" + os.fsencode(file.relative_to(found.root)) + b"\0")
        try:
            _read_into(digest, file)
        except OSError as error:
            name = shown_name(file, found.root)
            why = f": {name} cannot be read: {error.strerror}"
            raise UserError(why, setting="path", value=path) from error
    return digest.hexdigest()


def _read_into(digest: xxhash.xxh3_64, file: Path) -> None:
    if url_of(file):  # which would be fetched whole
        digest.update(repr(stamp(str(file))).encode())
        return
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        digest.update(f"{size}\0".encode())
        if size <= WHOLE_BYTES:
            digest.update(opened.read())
            return
        for begin in np.linspace(0, size - _BLOCK_BYTES, _BLOCKS).astype(int).tolist():
            opened.seek(begin)
            digest.update(opened.read(_BLOCK_BYTES))
