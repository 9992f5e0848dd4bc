"""Atomic writing of files and folders: complete or not at all, even if a process is killed.

They are written under another name, synced, and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


@contextmanager
def whole(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yields a temporary name for a file or folder, which replaces ``path`` on exit.

    If the code inside fails, ``path`` is as before, and the temporary file is removed.

    Args:
        path: final name; its parent folder is created if missing.
        shared: other processes may write the same at the same time; the first one's folder stays.

    Raises:
        OSError: the disk is full or the write fails.
    """
    own = f".{uuid4().hex}" if shared else ""
    aside = path.with_name(f"{path.name}{own}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _remove(aside)  # left by a process that was killed
        yield aside
        for made in (aside, *aside.rglob("*")):
            _sync(made)
        _rename(aside, path, shared)
        _sync(path.parent)
    finally:
        _remove(aside)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file atomically; text is encoded as UTF-8."""
    with whole(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file atomically; its numbers must be finite."""
    write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rename(aside: Path, path: Path, shared: bool) -> None:
    try:
        os.replace(aside, path)
    except OSError:
        if not (aside.is_dir() and path.is_dir()):
            raise
        if not shared:  # no system call replaces a folder that holds files
            before = path.with_name(f"{path.name}.before")
            _remove(before)
            os.replace(path, before)
            os.replace(aside, path)
            _remove(before)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
