"""What lies below a folder, but for hidden files and what programs leave behind."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from chiasm.errors import UserError

_LEAVINGS = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")


def below(folder: Path, setting: str) -> Iterator[tuple[str, bool]]:
    """Yields what lies below a folder and is no folder, and whether it is a file.

    Links are followed, after all folders that are none; each real folder is read once.

    Raises:
        UserError: a folder may not be read; ``setting`` names it.
    """
    seen: set[str] = set()
    folders, links = [str(folder)], deque[str]()
    while folders or links:
        above = folders.pop() if folders else links.popleft()
        real = os.path.realpath(above)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(above) as entries:
                for entry in entries:
                    is_folder, is_file = _kind(entry)
                    if not is_folder:
                        yield entry.path, is_file
                    elif not is_leaving(entry.name):
                        (links if entry.is_symlink() else folders).append(entry.path)
        except OSError as error:
            why = f": {error.filename} cannot be read: {error.strerror}"
            raise UserError(why, setting=setting) from error


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Returns whether an entry is a folder, and whether a file; of links, what they lead to."""
    if entry.is_symlink():
        return os.path.isdir(entry.path), os.path.isfile(entry.path)
    return entry.is_dir(), entry.is_file()


def is_leaving(name: str) -> bool:
    """Returns whether a name is hidden, or a leftover of an editor, an archive or a library."""
    return (
        name.startswith((".", "~$"))
        or name.lower() in _LEAVINGS
        or (name.startswith("cache-") and name.endswith(".arrow"))  # of datasets' map and filter
    )
