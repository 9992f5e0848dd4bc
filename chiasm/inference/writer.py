"""Tokens in, text out that never has to be taken back, and the stop strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""Replacement character: what decoding gives for a character whose last bytes are still to come."""


class Writer:
    """The text that one request writes between two items.

    A byte-level token may end inside a character, and the end of what is written may be the
    beginning of a stop string: such ends are held back until the next token settles them.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: tuple[str, ...]) -> None:
        self._decode = decode
        self._stop = stop
        self._ids: list[int] = []
        self.text = ""
        """The settled text."""
        self.stopped = False
        """Whether a stop string has been written; :attr:`text` ends before it."""

    def add(self, token: int) -> str:
        """Adds one token; returns the text that it settles."""
        self._ids.append(token)
        written = self._decode(self._ids)
        begins = [begin for stop in self._stop if (begin := written.find(stop)) >= 0]
        if begins:
            self.stopped = True
            return self._settle(written[: min(begins)])
        settled = written.rstrip(UNFINISHED)
        return self._settle(settled[: len(settled) - self._held_back(settled)])

    def finish(self) -> str:
        """Returns what was still held back; no token follows."""
        return "" if self.stopped or not self._ids else self._settle(self._decode(self._ids))

    def _settle(self, text: str) -> str:
        piece = text[len(self.text) :]
        self.text = text
        return piece

    def _held_back(self, text: str) -> int:
        """Returns the length of the longest end of the text that begins a stop string."""
        begins = [stop[:length] for stop in self._stop for length in range(1, len(stop))]
        return max((len(begin) for begin in begins if text.endswith(begin)), default=0)
