"""The error for video files that cannot be used."""

from __future__ import annotations

from pathlib import Path

from chiasm.errors import UserError

CUT_OFF, NO_STAMPS = "cut off", "no frame with a time stamp"
NO_SOUND = "no sound track"
EQUAL_STAMPS = "most frames share a time stamp with another"


class VideoError(UserError):
    """A video file, or a frame of it, that cannot be used.

    ``reason`` says why in few words, the same for all files with one fault, for counts.
    """

    def __init__(self, path: Path, reason: str, detail: str = "", *, remedy: str = "") -> None:
        super().__init__(f"video {path}: {reason}{detail and f' ({detail})'}", remedy=remedy)
        self.reason = reason
