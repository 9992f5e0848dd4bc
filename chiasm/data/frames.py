"""The frames of a recorded walk on disk: folders, numbers and files that are none of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chiasm.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png")
_PLACES = ("", "image_2", "image_02/data", "image_0", "color", "rgb", "images")
"""Where layouts keep their frames, from a trajectory's folder on."""
_NUMBERED = re.compile(r"(?:frame[-_])?(\d+)(?:\.color)?")


def visible(path: Path) -> bool:
    """Whether a file or folder is neither hidden nor left behind by an archive or a notebook."""
    return not path.name.startswith(".") and path.name != "__MACOSX"


def frame_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The places that hold pictures, each with their names from the trajectory's folder on."""
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
    """Names of the frames by their number, of the first place that has numbered ones.

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
