"""The frames of several recorded walks or episodes, numbered through, and which make a document."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field, field_validator

from chiasm.settings import Settings


class SpacedFrames(Settings):
    """How many frames a document has, and which recorded ones count."""

    frames: tuple[int, int] = (2, 4)
    """Fewest and most frames of a document; of an action video the first is given, not drawn."""
    frame_spacing: int = Field(1, ge=1)
    """Every so many recorded frames count as one, for actions and horizons too."""

    @field_validator("frames")
    @classmethod
    def _check_frames(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 2 <= value[0] <= value[1]:
            raise ValueError(f"frames = {value} must be two rising numbers from 2 on")
        return value


class NumberedFrames:
    """The base of sources of recorded frames, which are numbered across all walks.

    Consecutive documents go through all possible first frames before any recurs.
    """

    _starts: np.ndarray
    """int64: the frames with which documents begin."""

    def __init__(self, name: str, task: str, lengths: Iterable[int]) -> None:
        self.name, self.task = name, task
        self._ends = np.cumsum([*lengths])

    @property
    def num_frames(self) -> int:
        """Number of frames of all walks."""
        return int(self._ends[-1])

    @property
    def frames_name(self) -> str:
        """Empty: no other source shows these frames."""
        return ""

    @property
    def shown_as(self) -> frozenset[bool]:
        """Values of ``Image.target`` among the frames of its documents."""
        return frozenset({True}) if self.task == "video" else frozenset({False, True})

    def place_of(self, frame: int) -> int:
        """Returns the number of the frame's walk."""
        return int(np.searchsorted(self._ends, frame, side="right"))

    def cluster_of(self, index: int) -> int:
        """Returns the number of the document's walk."""
        return self.place_of(self.frame_of(index))

    def frame_of(self, index: int) -> int:
        """Returns the first frame of document ``index``."""
        return int(self._starts[index % len(self._starts)])

    def _bounds(self, number: int) -> tuple[int, int]:
        """Returns the first frame of a walk, and the one after its last."""
        return int(self._ends[number - 1]) if number else 0, int(self._ends[number])

    def _placed(self, frame: int) -> tuple[int, int]:
        """Returns the number of the frame's walk, and that of the frame within it."""
        number = self.place_of(frame)
        return number, frame - self._bounds(number)[0]
