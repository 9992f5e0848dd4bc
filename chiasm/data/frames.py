"""The frames of a recorded walk on disk: their folders and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chiasm.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png")
_PLACES = ("", "image_2", "image_02/data", "image_0", "color", "rgb", "images")
"""Folders of frames in the known layouts, relative to a trajectory's folder."""
_NUMBERED = re.compile(r"(?:frame[-_])?(\d+)(?:\.color)?")


def visible(path: Path) -> bool:
    """Returns whether a file or folder is neither hidden nor a leftover of an archive."""
    return not path.name.startswith(".") and path.name != "__MACOSX"


def frame_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yields each folder with pictures, and their names relative to the trajectory's folder."""
    for place in _PLACES:
        if not (folder / place).is_dir():
            continue
        pictures = sorted(
            path.relative_to(folder).as_posix()
            for path in (folder / place).iterdir()
            if path.suffix.lower() in SUFFIXES and visible(path)
        )
        if pictures:
            yield folder / place, pictures


def numbered_frames(folder: Path) -> dict[int, str]:
    """Returns frame names by number, from the first folder that has numbered ones.

    Raises:
        UserError: two files have one number.
    """
    for _, names in frame_folders(folder):
        found: dict[int, str] = {}
        for name in names:
            match = _NUMBERED.fullmatch(Path(name).stem)
            if match is None:
                continue
            other = found.setdefault(int(match[1]), name)
            if other != name:
                raise UserError(
                    f"trajectory {folder}: {other} and {name} are both frame {int(match[1])}; "
                    "take one of them away"
                )
        if found:
            return found
    return {}
