"""The walks of all open pages."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from http import HTTPStatus
from threading import Lock

from chiasm.errors import UserError
from chiasm.loopback.replies import Refused
from chiasm.walk.commands import Command
from chiasm.walk.starts import Start
from chiasm.walk.walker import Frame, Walker

MOST_WALKS = 64
"""Most walks kept at once; the least recently used one is dropped."""
MOST_FRAMES = 1000
"""Most frames of one walk."""


class UnknownWalk(Refused):
    """The walk does not exist, or not any more."""

    def __init__(self) -> None:
        super().__init__("this walk is no longer kept; begin another", HTTPStatus.NOT_FOUND)


class OutOfStep(Refused):
    """The page's state of the walk is out of date."""

    def __init__(self, frames: int, known: int) -> None:
        told = f"the walk has {frames} frames and not {known}; reload the page"
        super().__init__(told, HTTPStatus.CONFLICT)


class Walk:
    """The frames of one walk; changes hold its lock."""

    def __init__(self, start: Start, first: Frame) -> None:
        self.name = secrets.token_urlsafe(12)
        self.start = start
        self.frames: tuple[Frame, ...] = (first,)
        self._lock = Lock()

    def step(
        self, walker: Walker, command: Command, *, after: int, seed: int, guidance: float
    ) -> Frame:
        """Imagines the next frame, adds it to the walk and returns it.

        Args:
            walker: model that imagines it.
            command: command that the model reads.
            after: number of frames that the page knows. A repeated request, or one of a page that
                is out of date, changes nothing.
            seed: as in :meth:`Walker.step`.
            guidance: as in :meth:`Walker.step`.

        Raises:
            OutOfStep: the walk has another number of frames.
            UserError: the walk is at its most frames, or the document exceeds the context.
        """
        with self._lock:
            self._expect(after)
            if after >= MOST_FRAMES:
                raise UserError(f"the walk has {MOST_FRAMES} frames, the most that are kept; "
                                "restart it")  # fmt: skip
            frame = walker.step(self.frames, command, seed=seed, guidance=guidance)
            self.frames = (*self.frames, frame)
            return frame

    def keep(self, count: int, *, after: int) -> None:
        """Removes the last frames until ``count`` are left.

        Raises:
            OutOfStep: the walk does not have ``after`` frames.
            UserError: ``count`` is not between 1 and ``after``.
        """
        with self._lock:
            self._expect(after)
            if not 1 <= count <= after:
                raise UserError(f"{count} of {after} frames cannot be kept; the start stays")
            self.frames = self.frames[:count]

    def _expect(self, after: int) -> None:
        if after != len(self.frames):
            raise OutOfStep(len(self.frames), after)


class Walks:
    """The most recently used walks, by name."""

    def __init__(self) -> None:
        self._walks: OrderedDict[str, Walk] = OrderedDict()
        self._lock = Lock()

    def begin(self, walker: Walker, start: Start) -> Walk:
        """Begins a walk and returns it."""
        walk = Walk(start, walker.begin(start))
        with self._lock:
            self._walks[walk.name] = walk
            while len(self._walks) > MOST_WALKS:
                self._walks.popitem(last=False)
        return walk

    def __getitem__(self, name: str) -> Walk:
        """Returns a walk that is still kept.

        Raises:
            UnknownWalk: it does not exist or is not kept any more.
        """
        with self._lock:
            if name not in self._walks:
                raise UnknownWalk
            self._walks.move_to_end(name)
            return self._walks[name]
