"""Copies of users' files in a form that can be read at any place, by a hash of their content.

Names and time stamps do not count: equal files share a copy, and an edited file gets another one.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import xxhash

from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.storage import opened
from chiasm.errors import UserError, first_line
from chiasm.whole import whole

_BLOCK_BYTES = 1 << 22
_COPYING = 2
"""Version of the copies: raised when the same file gives another copy than before."""

MOST_TIMES, HARMLESS_BYTES = 200, 1 << 26
"""A file that grows more than so many times is refused, unless it stays smaller than this."""


def copied(file: Path, suffix: str, write: Callable[[Path], None], index: Index = NO_INDEX) -> Path:
    """Returns the path of a file's copy in the cache of the ``datasets`` library.

    Args:
        file: the file to copy.
        suffix: that of the copy.
        write: writes the copy under a name, if there is none yet.
        index: knows hashes of unchanged files.

    Raises:
        UserError: the file cannot be read, or the cache has no room.
    """
    try:
        known = index.of("digest 1", [file], lambda: Found({"digest": _digest(file)}))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    return _written(str(file), f"{known.facts['digest']}{suffix}", write)


def taken_out(content: bytes, file: Path) -> Path:
    """Returns the path of a copy of what stands inside of a file, such as a member of a tar.

    Raises:
        UserError: the cache has no room.
    """
    name = f"{xxhash.xxh3_128_hexdigest(content)}.member"
    return _written(f"a part of {file}", name, lambda aside: _write(content, aside))


def place_of(name: str) -> Path:
    """Returns the path of a copy by its name, whether there is one or not."""
    from datasets import config

    return Path(config.HF_DATASETS_CACHE) / f"by-content-{_COPYING}" / name


def _written(what: str, name: str, write: Callable[[Path], None]) -> Path:
    copy = place_of(name)
    if copy.exists():
        return copy
    try:  # ranks may copy one file at the same time
        with whole(copy, shared=True) as aside:
            write(aside)
    except OSError as error:
        raise UserError(
            f"{what} cannot be copied to {copy.parent} ({error.strerror or error}); set HF_HOME to "
            "a folder with room"
        ) from error
    return copy


def _write(content: bytes, aside: Path) -> None:
    aside.write_bytes(content)


def unpacked(file: Path, index: Index = NO_INDEX) -> Path:
    """Returns the path of what a gzip file holds, in the cache.

    Raises:
        UserError: it is damaged, grows beyond reason, or the cache has no room.
    """
    return copied(file, ".unpacked", lambda aside: _unpack(file, aside), index)


def _unpack(file: Path, aside: Path) -> None:
    most = max(HARMLESS_BYTES, MOST_TIMES * file.stat().st_size)
    written = 0
    with gzip.open(file) as packed, aside.open("wb") as plain:
        while block := _block(packed, file):
            written += len(block)
            if written > most:
                raise UserError(
                    f"{file} grows more than {MOST_TIMES} times when it is unpacked, as bombs do; "
                    "unpack it yourself if it is none"
                )
            plain.write(block)


def _block(packed: gzip.GzipFile, file: Path) -> bytes:
    try:
        return packed.read(_BLOCK_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{file} cannot be read as gzip ({first_line(error)}); fetch or write it again"
        ) from error


def _digest(file: Path) -> str:
    digest = xxhash.xxh3_128()
    with opened(file) as source:
        for begin in range(0, source.size, _BLOCK_BYTES):
            digest.update(source.read_at(begin, _BLOCK_BYTES))
    return digest.hexdigest()
