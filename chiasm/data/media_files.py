"""Finds the files that a table's cells name: pictures, videos or sounds.

A name counts from the table's folder, or from a folder above it. Where there is no such file, it is
looked for among the files of the source: the only one whose path ends in the name, or of several
the only one in a folder that the table is called after, as ``captions_train2017.json`` is after
``train2017``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import xxhash


class MediaFiles:
    """The files of a medium that a source has.

    Args:
        root: the folder up to which names may count.
        files: those below it, for names that lead nowhere.
    """

    def __init__(self, root: Path = Path(), files: Sequence[Path] = ()) -> None:
        self.root, self._files = root, files
        self.looked_at: dict[str, None] | None = None
        """Where files were looked for, if that is noted."""

    def __len__(self) -> int:
        return len(self._files)

    def find(self, file: Path, table: Path) -> Path:
        """Returns a file by its name; where there is none, ``file``, which was to lead to it.

        ``table`` is the file that names it.
        """
        folder = table.parent
        relative = file.relative_to(folder) if file.is_relative_to(folder) else file
        for each in self._candidates(file, folder, relative):
            if self.looked_at is not None:
                self.looked_at[str(each)] = None
            if os.path.isfile(each):
                return each
        return self._elsewhere(relative, table) or file

    @cached_property
    def digest(self) -> str:
        """Hash of the names of the files."""
        return xxhash.xxh3_64_hexdigest("\0".join(map(str, self._files)).encode(errors="replace"))

    def _candidates(self, file: Path, folder: Path, relative: Path) -> Iterator[Path]:
        yield file
        yield from (each / relative for each in folder.parents if each.is_relative_to(self.root))

    def _elsewhere(self, relative: Path, table: Path) -> Path | None:
        found = self._by_name.get(relative.name, [])
        found = [file for file in found if file.parts[-len(relative.parts) :] == relative.parts]
        if len(found) > 1:
            found = [file for file in found if file.parent.name in table.stem]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        by_name: dict[str, list[Path]] = {}
        for file in self._files:
            by_name.setdefault(file.name, []).append(file)
        return by_name


def is_endless(file: Path) -> bool:
    """Returns whether a path leads to a pipe or a device, whose end may never come."""
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
