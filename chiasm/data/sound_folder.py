"""Sounds in folders as a table, as pictures are: words beside them, names of their folders."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from chiasm.data.files import SOUND_SUFFIXES
from chiasm.data.picture_folder import PictureFolder


class SoundFolder(PictureFolder):
    """A row per sound: ``audio``, and if present ``text``, ``label`` and entries of JSON."""

    column: ClassVar[str] = "audio"


def is_sound(file: Path) -> bool:
    """Returns whether the file's suffix is that of a format of sound."""
    return file.suffix.lower() in SOUND_SUFFIXES
