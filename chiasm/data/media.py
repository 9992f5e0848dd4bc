"""The media of users' files beside words: pictures, videos and sounds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Medium:
    """A kind of files that rows hold, or that are rows by themselves."""

    column: str
    """Column of the files of folders and of the fields of tars; another table's column is named by
    the setting of this name and ``_column``."""
    noun: str
    """What messages call one of them."""
    example: str
    """Name of a file, for messages."""
    suffixes: frozenset[str]
    usual: tuple[str, ...]
    """Usual names of a table's column, the likeliest first."""

    @property
    def nouns(self) -> str:
        """What messages call several of them."""
        return f"{self.noun}s"

    def is_of(self, file: Path | str) -> bool:
        """Returns whether a file's name ends in one of the suffixes."""
        return os.path.splitext(str(file))[1].lower() in self.suffixes


IMAGE = Medium(
    "image",
    "picture",
    "barn.jpg",
    frozenset(
        (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
    ),
    ("image", "file_name", "jpg", "png", "webp", "img", "picture", "path"),
)
VIDEO = Medium(
    "video",
    "video",
    "barn.mp4",
    frozenset(
        (
            *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".3gp", ".wmv", ".ogv"),
            *(".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
        )
    ),
    ("video", "file_name", "mp4", "webm", "mkv", "mov", "path", "file", "clip"),
)
AUDIO = Medium(
    "audio",
    "sound",
    "bark.wav",
    frozenset(
        (
            *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff"),
            *(".webm", ".mka"),
        )
    ),
    (
        *("audio", "file_name", "wav", "flac", "mp3", "ogg", "opus", "m4a", "sound", "speech"),
        *("audio_path", "filename", "file", "path"),
    ),
)
MEDIA = (IMAGE, VIDEO, AUDIO)
