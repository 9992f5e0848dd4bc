"""Documents packed into rows by best fit: each into the fullest row that has room for it.

Grain has this packer (``BestFitPackIterDataset``), and the rows, their order and the state are
equal to its own; but it walks a tree of each document's arrays half a dozen times, and took a third
of the time in which a lane reads. Grain's is the reference of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Packed(NamedTuple):
    """A document, or a piece of one, as a row holds it."""

    ids: np.ndarray
    """int64 [n]: token numbers."""
    items: np.ndarray
    """int64 [k, 3]: number in the document, stream, target."""
    document: tuple[int, int, int, int]
    """Source number, index in the source, condition, and the turn of the document's form."""
    grids: tuple[tuple[int, ...], ...] = ()
    """Latent tokens along each axis of each item."""
    asked: np.ndarray | None = None
    """bool [n]: tokens of prompts that are not learned; None: there are none."""


class Documents(Protocol):
    """Endless documents whose state restores exactly."""

    def __next__(self) -> Packed: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...


class BestFit:
    """Endless rows, each a list of documents from left to right.

    ``num_rows`` rows are filled together until a document fits into none of them; they are given in
    a shuffled order, and the next ones begin with that document.

    Args:
        documents: none of them longer than a row.
        capacity: most token numbers, items and documents of a row.
        num_rows: filled together.
        seed: of the order in which they are given.
    """

    def __init__(
        self, documents: Documents, capacity: Sequence[int], num_rows: int, seed: int
    ) -> None:
        self._documents, self._num_rows, self._seed = documents, num_rows, seed
        self._capacity = np.array(capacity).reshape(3, 1)
        self._ready: list[list[Packed]] = []
        self._given = self._counter = 0
        self._begin(documents.get_state())

    def get_state(self) -> dict[str, Any]:
        """Returns the JSON-able state: that of the documents before the rows that are being given
        were filled, and how many of these were given."""
        return {"parent": self._parent, "next_row": self._given, "counter": self._counter}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state; the rows are filled again."""
        self._documents.set_state(state["parent"])
        self._begin(state["parent"], state["next_row"], state["counter"])

    def __next__(self) -> list[Packed]:
        if not self._ready:
            self._fill()
        row = self._ready[self._given]
        self._given += 1
        self._counter += 1
        if self._given == len(self._ready):
            self._ready, self._given, self._parent = [], 0, self._next_parent
        return row

    def _begin(self, parent: dict[str, Any], given: int = 0, counter: int = 0) -> None:
        self._parent = self._next_parent = parent
        self._ready, self._given, self._counter = [], given, counter
        self._open()

    def _open(self) -> None:
        self._rows: list[list[Packed]] = [[] for _ in range(self._num_rows)]
        self._used = np.zeros((3, self._num_rows), np.int64)

    def _fill(self) -> None:
        while True:
            before = self._documents.get_state()
            document = next(self._documents)
            if not self._add(document):
                break
        rows = [row for row in self._rows if row]
        order = np.random.default_rng(self._seed + self._counter - self._given).permuted(
            range(len(rows))
        )
        self._ready, self._next_parent = [rows[place] for place in order], before
        self._open()
        assert self._add(document), "a document is longer than a row"

    def _add(self, document: Packed) -> bool:
        """Returns whether a row had room."""
        size = np.array([[len(document.ids)], [len(document.items)], [1]])
        fits = (self._used + size <= self._capacity).all(0)
        fullest = int(np.where(fits, self._used.sum(0), -1).argmax())
        if not fits[fullest]:
            return False
        self._rows[fullest].append(document)
        self._used[:, fullest] += size[:, 0]
        return True
