"""Files and folders that are there whole or not at all, wherever a process is killed.

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
    """Gives a free name for a file or folder, which takes the place of ``path`` when it is made.

    Where that fails, what was there before is left, and nothing of the new.

    Args:
        path: the folder that it lies in is made when missing.
        shared: other processes may make the same at the same time; the first one's folder stays.

    Raises:
        OSError: the disk is full or refuses.
    """
    own = f".{uuid4().hex}" if shared else ""
    aside = path.with_name(f"{path.name}{own}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _remove(aside)  # of a process that was killed
        yield aside
        for made in (aside, *aside.rglob("*")):
            _sync(made)
        _rename(aside, path, shared)
        _sync(path.parent)
    finally:
        _remove(aside)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file as :func:`whole` has it; text is UTF-8."""
    with whole(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as :func:`whole` has it; its numbers have to be finite."""
    write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal: it tells whether the file is still what it was."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rename(aside: Path, path: Path, shared: bool) -> None:
    try:
        os.replace(aside, path)
    except OSError:
        if not (aside.is_dir() and path.is_dir()):
            raise
        if not shared:  # no call puts a folder in the place of one that holds files
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
