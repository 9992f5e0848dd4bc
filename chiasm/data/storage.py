"""Bytes of users' files, and what tells that a file is unchanged.

A file is a path of this machine, or a place that ``fsspec`` opens. The path of such a place begins
with its scheme: ``s3://bucket/0001.tar`` is ``Path("s3:/bucket/0001.tar")``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import xxhash

from chiasm.data.reading import LostError
from chiasm.errors import UserError, first_line

URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+(?:::[a-z][a-z0-9+.-]+)*):/+(?P<rest>.*)", re.DOTALL)
"""A place that fsspec opens, as it is written or as a path."""

_READAHEAD_BYTES = 1 << 20

Stamp = tuple[int, int, int, int]
"""Size, time stamps of content and of inode in ns, number of the inode."""

GONE: Stamp = (0, 0, 0, 0)


class ByteReader(Protocol):
    """An opened file."""

    size: int

    def read_at(self, begin: int, count: int) -> bytes:
        """Returns bytes from a place; fewer at the end of the file."""


class _Local:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, begin: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, begin)


class _Remote:
    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.size = int(opened.size)

    def read_at(self, begin: int, count: int) -> bytes:
        self._opened.seek(begin)
        return bytes(self._opened.read(count))


def url_of(file: Path) -> str:
    """Returns the address of a place that fsspec opens; empty for a path of this machine."""
    found = URL.fullmatch(str(file))
    return f"{found['scheme']}://{found['rest']}" if found else ""


def named(file: Path) -> str:
    """Returns the name of a file in messages: its address or its path."""
    return url_of(file) or str(file)


def path_of(url: str) -> Path:
    """Returns the path of an address; that of ``file://`` is one of this machine."""
    found = URL.fullmatch(url)
    assert found
    return Path(f"/{found['rest']}") if found["scheme"] == "file" else Path(url)


def file_system(url: str) -> tuple[Any, str]:
    """Returns the file system of an address, and the address within it.

    Raises:
        UserError: no library for the scheme is installed.
    """
    import fsspec

    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(f"{url} cannot be opened ({first_line(error)})") from error
    return found


def listed(url: str, setting: str) -> list[Path]:
    """Returns the files of an address: of a pattern or a folder those that there are.

    Whether a single file is there is asked by :func:`absent`.

    Raises:
        UserError: the place cannot be reached, or has no files.
    """
    system, place = file_system(url)
    try:
        if "*" not in place and "." in place.rpartition("/")[2]:
            return [path_of(url)]
        names = system.glob(place) if "*" in place else system.find(place)
    except Exception as error:  # those of the libraries behind fsspec are of any class
        why = f"cannot be listed ({first_line(error)})"
        raise UserError(why, setting=setting, value=url) from error
    if not names:
        raise UserError("has no files", setting=setting, value=url, remedy="check the address")
    return [path_of(system.unstrip_protocol(name)) for name in names]


def absent(files: Sequence[Path]) -> list[Path]:
    """Returns those addresses at which there is no file; each folder of them is listed once.

    Raises:
        UserError: the place cannot be reached.
    """
    there: set[str] = set()
    for folder in filter(None, dict.fromkeys(url_of(file.parent) for file in files)):
        system, place = file_system(folder)
        with suppress(Exception):  # of places that list nothing, each file is asked for
            there.update(system.ls(place, detail=False))
    gone = []
    for file in files:
        system, place = file_system(url_of(file))
        try:
            if place not in there and not system.exists(place):
                gone.append(file)
        except Exception as error:  # those of the libraries behind fsspec are of any class
            raise UserError(f"{named(file)} cannot be reached ({first_line(error)})") from error
    return gone


@contextmanager
def opened(file: Path) -> Iterator[ByteReader]:
    """Yields a file opened for reading at any place.

    Raises:
        OSError: it cannot be opened.
    """
    if url := url_of(file):
        system, place = file_system(url)
        with system.open(place, "rb", block_size=_READAHEAD_BYTES) as remote:
            yield _Remote(remote)
        return
    descriptor = os.open(file, os.O_RDONLY)
    try:
        yield _Local(descriptor)
    finally:
        os.close(descriptor)


def read_part(file: Path, begin: int, end: int) -> bytes:
    """Returns a file's bytes from ``begin`` to ``end``; safe to call from any thread.

    Raises:
        LostError: the file cannot be read, or has become shorter.
    """
    # Opened anew each time: a table may have more files than a process may hold open.
    try:
        if url := url_of(file):
            system, place = file_system(url)
            found = bytes(system.cat_file(place, begin, end)) if end > begin else b""
        else:
            with opened(file) as local:
                found = local.read_at(begin, end - begin)
    except UserError:
        raise
    except OSError as error:
        raise LostError(f"{named(file)} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # those of the libraries behind fsspec are of any class
        raise LostError(f"{named(file)} cannot be read: {first_line(error)}") from error
    if len(found) < end - begin:
        raise LostError(f"{named(file)} has become shorter since it was opened")
    return found


def stamp(file: str) -> Stamp:
    """Returns what differs when a file has changed; ``GONE`` where it is not there."""
    if URL.match(file):
        return _remote_stamp(file)
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return GONE
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _remote_stamp(file: str) -> Stamp:
    system, place = file_system(url_of(Path(file)))
    try:
        told = system.info(place)
    except Exception:  # those of the libraries behind fsspec are of any class
        return GONE
    known = repr(sorted((name, repr(value)) for name, value in told.items()))
    return int(told.get("size") or 0), 0, 0, xxhash.xxh3_64_intdigest(known.encode()) >> 1
