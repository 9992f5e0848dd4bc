"""The walks of all open pages, each for itself."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock

from chiasm.errors import UserError
from chiasm.walk.commands import Command
from chiasm.walk.starts import Start
from chiasm.walk.walker import Frame, Walker

MOST_WALKS = 64
"""Kept at once; the one that was not used for longest goes."""
MOST_FRAMES = 1000
"""Of one walk."""


class UnknownWalk(UserError):
    """There is no such walk, or no longer."""


class OutOfStep(UserError):
    """The page does not know the walk as it is."""


class Walk:
    """The frames of one walk; whoever changes them holds its lock."""

    def __init__(self, start: Start, first: Frame) -> None:
        self.name = secrets.token_urlsafe(12)
        self.start = start
        self.frames: tuple[Frame, ...] = (first,)
        self._lock = Lock()

    def step(
        self, walker: Walker, command: Command, *, after: int, seed: int, guidance: float
    ) -> Frame:
        """Imagine and keep the next frame.

        Args:
            walker: imagines.
            command: what it reads.
            after: how many frames the page knows. A request that comes twice, or from a page that
                another one's copy of the walk has left behind, changes nothing.
            seed: see :meth:`Walker.step`, as for ``guidance``.
            guidance: scale.

        Raises:
            OutOfStep: the walk has another number of frames.
            UserError: it has as many as are kept, or the model cannot read the document.
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
        """Take frames back, until ``count`` are left.

        Raises:
            OutOfStep: the walk has not ``after`` frames.
            UserError: ``count`` is not one of them.
        """
        with self._lock:
            self._expect(after)
            if not 1 <= count <= after:
                raise UserError(f"{count} of {after} frames cannot be kept; the start stays")
            self.frames = self.frames[:count]

    def _expect(self, after: int) -> None:
        if after != len(self.frames):
            raise OutOfStep(
                f"the walk has {len(self.frames)} frames and not {after}; reload the page"
            )


class Walks:
    """The newest walks, by name."""

    def __init__(self) -> None:
        self._walks: OrderedDict[str, Walk] = OrderedDict()
        self._lock = Lock()

    def begin(self, walker: Walker, start: Start) -> Walk:
        """A new walk."""
        walk = Walk(start, walker.begin(start))
        with self._lock:
            self._walks[walk.name] = walk
            while len(self._walks) > MOST_WALKS:
                self._walks.popitem(last=False)
        return walk

    def __getitem__(self, name: str) -> Walk:
        """A walk that is still kept.

        Raises:
            UnknownWalk: it is not.
        """
        with self._lock:
            if name not in self._walks:
                raise UnknownWalk("this walk is no longer kept; begin another")
            self._walks.move_to_end(name)
            return self._walks[name]
