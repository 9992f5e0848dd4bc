"""Hashes of a folder's files, kept in the folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import xxhash

MANIFEST = "manifest.json"


class DamagedError(Exception):
    """A folder that differs from what was written; the message says how."""


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    """Returns the hash of every file by its name."""
    found = {}
    for path in sorted(paths):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()
    return found


def write_manifest(folder: Path, parts: Iterable[Mapping[str, str]]) -> None:
    """Writes the hashes of files by name, which several processes may have made."""
    merged = {name: digest for part in parts for name, digest in part.items()}
    (folder / MANIFEST).write_text(json.dumps(merged))


def verify(folder: Path) -> None:
    """Compares a folder's files with its manifest.

    Raises:
        DamagedError: one differs or is missing.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise DamagedError(f"{MANIFEST}: {error}") from error
    found = hashes(folder.iterdir())
    for name, written in manifest.items():
        if name not in found:
            raise DamagedError(f"{name} is missing")
        if found[name] != written:
            raise DamagedError(f"{name} differs from what was written")
