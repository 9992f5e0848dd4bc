"""SIGTERM and Ctrl-C as a request that a training loop answers between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stopped(Exception):
    """A training that saved where it stood and ended, because a signal asked for it.

    The command line prints the message and exits with status 128 plus the signal's number.
    """

    def __init__(self, number: signal.Signals, where: str) -> None:
        super().__init__(
            f"stopped by {number.name} at {where}; saved. The same command goes on from here"
        )
        self.signal = number


class StopRequest:
    """Context that turns SIGTERM and the first Ctrl-C into a flag.

    A second Ctrl-C interrupts at once; the handlers found on entry come back on exit. Signals
    reach Python's main thread only, so that in any other thread the context does nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The signal that came, or None."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
