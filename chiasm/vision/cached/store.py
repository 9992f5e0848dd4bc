"""Contents of one size by key, in a file that several processes read and fill at once.

A record is written at the end, under the folder's lock, and has a check that every read compares:
what a killed process left half is written over, and damage is noticed.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import xxhash

from chiasm.data.keys import KEY_BYTES

_HEAD = KEY_BYTES + 8
_READ_BYTES = 1 << 24
"""That are looked through at once."""


class Store:
    """Contents by key.

    Args:
        path: its name says to what they belong; the folder's other files may make room for it.
        content_bytes: size of each.
        most_bytes: of the folder.
        tell: receives one line where something is damaged, and one where no more is kept.
    """

    def __init__(
        self, path: Path, content_bytes: int, most_bytes: int, tell: Callable[[str], None]
    ) -> None:
        self.path, self._most, self._tell = path, most_bytes, tell
        self._record = _HEAD + content_bytes
        self._places: dict[bytes, int] = {}
        self._end = 0
        self._is_full = self._is_damaged = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        weakref.finalize(self, os.close, self._file)
        os.utime(path)  # what was not opened for longest makes room

    def get(self, key: bytes) -> bytearray | None:
        """Returns what any process has put; None where nothing whole is found."""
        if key not in self._places:
            self._look()
        if key not in self._places:
            return None
        record = os.pread(self._file, self._record, self._places[key])
        if len(record) == self._record and record == _record(key, record[_HEAD:]):
            return bytearray(record[_HEAD:])
        if not self._is_damaged:
            self._tell(f"{self.path} is damaged: what cannot be read of it is made anew")
        self._is_damaged = True
        return None

    def put(self, key: bytes, content: bytes) -> None:
        """Keeps what :meth:`get` did not find, in the place of what is damaged."""
        if self._is_full:
            return
        with (self.path.parent / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._look()
            self._is_full = key not in self._places and not self._has_room()
            if not self._is_full:
                os.pwrite(self._file, _record(key, content), self._places.get(key, self._end))
                return
        self._tell(
            f"the {self._most / 1e6:g} MB for kept latents are full: the rest is encoded whenever "
            f"it is met; raise stream.kept_latents_megabytes, or delete {self.path} where it is of "
            "data that are not used any more"
        )

    def _look(self) -> None:
        """Finds what was written since; a record that is not whole is not there."""
        size = self._record
        while True:
            records = os.pread(self._file, -(-_READ_BYTES // size) * size, self._end)
            whole = len(records) // size * size
            for at in range(0, whole, size):
                self._places[records[at : at + KEY_BYTES]] = self._end + at
            self._end += whole
            if not whole:
                return

    def _has_room(self) -> bool:
        """Whether one more record fits into the folder, if need be without another file."""
        others = {path: path.stat() for path in self.path.parent.glob("*.latents")}
        others.pop(self.path, None)  # deleted by another process, it has its size still
        total = self._end + self._record + sum(each.st_size for each in others.values())
        for path in sorted(others, key=lambda path: others[path].st_mtime_ns):
            if total > self._most:
                path.unlink()
                total -= others[path].st_size
        return total <= self._most


def _record(key: bytes, content: bytes) -> bytes:
    return key + xxhash.xxh3_64_digest(key + content) + content
