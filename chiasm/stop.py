"""SIGTERM and Ctrl-C as a request to stop, which a training loop checks between steps."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

SERVING = frozenset({"demo", "walk"})
"""Verbs that save nothing which the same command would go on from."""
GOES_ON = "the same command goes on from what was saved last"


class Stopped(Exception):
    """Raised when a training has saved its state and ended because of a signal.

    The command line prints the message and exits with status 128 plus the signal's number.
    """

    def __init__(self, number: signal.Signals, where: str) -> None:
        super().__init__(
            f"stopped by {number.name} at {where}; saved. The same command goes on from here"
        )
        self.signal = number


def tell(line: object) -> None:
    """Prints a line about an end that a signal brought; of ranks, which all stop at once, one."""
    if os.environ.get("RANK", "0") == "0":
        print(f"chiasm: {line}", file=sys.stderr)


def end_interrupted() -> NoReturn:
    """Ends the process that Ctrl-C interrupted at once, with a line and the shell's status."""
    served = not SERVING.isdisjoint(sys.argv)
    tell("stopped" if served else f"stopped by SIGINT; {GOES_ON}")
    sys.exit(128 + signal.SIGINT)


class StopRequest:
    """Context that turns SIGTERM and the first Ctrl-C into a flag.

    A second Ctrl-C interrupts at once; the handlers found on entry are restored on exit. Signal
    handlers run in Python's main thread only, so that in any other thread the context has no
    effect.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The received signal, or None."""
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
