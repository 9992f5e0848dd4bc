"""Sources mixed by positions: a resumable iterator of one lane's encoded documents.

Choices:

- Each source has an order of its own, shuffled anew in every epoch, in which any place is a
  function of (seed, epoch, index). Documents that are cheaper to read one after another are
  shuffled in runs.
- Lane l reads places l, l + L, l + 2L, ... of the orders, so that L lanes together read every
  document of an epoch once and none is lost to rounding.
- The next document comes from the source with the largest deficit, ``weight * total - consumed``
  in positions. Shares are exact to within one document.
- The state is a few counters; an iterator with a restored state continues exactly.
- A document without content is passed on with no positions, so that it is counted with a row,
  exactly once, however often a run is resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from chiasm.capabilities import InRuns
from chiasm.data.best_fit import Packed
from chiasm.data.encoding import DocumentEncoder, Piece
from chiasm.data.quiet import grain
from chiasm.data.reading import UNREADABLE, LostError, checked, defect, refuse_absurd
from chiasm.documents import Document, Source, Varied
from chiasm.errors import UserError

_LARGE_DOCUMENTS = 1 << 14
"""Documents from which on grain's shuffle is used, which needs no memory. For fewer it takes
milliseconds per document, and a table of the epoch is small."""
_REMEMBERED_DOCUMENTS = 512
_RUNS_AT_ONCE = 4
"""Runs of a source that a lane reads in turn, so that rows hold documents of several."""


class Condition(IntEnum):
    """What an element holds of its document."""

    WHOLE = 0
    BEGUN = 1
    """The first piece of a document longer than a row."""
    CONTINUED = 2
    """A further piece of such a document."""
    EMPTY = 3
    UNREADABLE = 4


class Order:
    """The endless, shuffled order of a source: document numbers by place.

    With ``runs`` (those of :class:`~chiasm.capabilities.InRuns`) the runs are shuffled, and the
    documents of each follow one another, ``apart`` places from one to the next: an epoch's
    documents are divided into so many stretches, of which one takes a turn after the other. Only at
    the ends of stretches are runs cut.
    """

    def __init__(
        self, name: str, length: int, seed: int, runs: np.ndarray | None = None, apart: int = 1
    ) -> None:
        # Keyed by the source's name, so that another source beside it changes nothing.
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        # Epoch e shuffles with seed + e: hashed seeds lie too far apart to meet.
        self._seed = int.from_bytes(digest[:4], "little")
        self._length = length
        self._runs, self._apart = runs, apart
        self.first_turn = int.from_bytes(digest[4:6], "little")
        """First turn of documents that have several forms."""
        self._table = lru_cache(maxsize=2)(self._permutation)

    def __getitem__(self, place: int) -> int:
        epoch, nth = divmod(place, self._length)
        if self._length < _LARGE_DOCUMENTS or self._runs is not None:
            return int(self._table(epoch)[nth])
        seed = (self._seed + epoch) % 2**32
        return grain.experimental.index_shuffle(nth, self._length - 1, seed, 4)

    def _permutation(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        if self._runs is None:
            return rng.permutation(self._length)
        names, run_N = np.unique(self._runs, return_inverse=True)
        place_N = np.arange(epoch * self._length, (epoch + 1) * self._length)
        table_N = np.empty(self._length, np.int64)
        by_stretch_N = np.argsort(place_N % self._apart, kind="stable")
        table_N[by_stretch_N] = np.argsort(rng.permutation(len(names))[run_N], kind="stable")
        return table_N


class Drawn(NamedTuple):
    """A drawn document."""

    source: int
    number: int
    """Index of the document in its source."""
    turn: int
    """Choice of its form, if it has several."""


@dataclass(frozen=True)
class Lane:
    """One of the stream's independent shares of every source."""

    number: int
    count: int


class Mixture:
    """The endless encoded documents of one lane; see the module's docstring.

    ``only_answers``: the sources whose prompts are not learned.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        weights: Mapping[str, float],
        encoder: DocumentEncoder,
        lane: Lane,
        seed: int,
        only_answers: Container[str] = (),
    ) -> None:
        self.names, self.lane = tuple(sources), lane
        self._only_answers = [name in only_answers for name in self.names]
        self._sources = tuple(sources.values())
        self._varied = {
            number: source
            for number, source in enumerate(self._sources)
            if isinstance(source, Varied) and source.varied
        }
        total = sum(weights[name] for name in self.names)
        self._weights = [weights[name] / total for name in self.names]
        self._orders = tuple(
            Order(name, len(source), seed, _runs_of(source), lane.count * _RUNS_AT_ONCE)
            for name, source in sources.items()
        )
        self._encoder = encoder
        # A document with items is read twice, when it is drawn and when its row is due: the cache
        # saves the second time if the row is due soon.
        self.read = lru_cache(_REMEMBERED_DOCUMENTS)(self._document)
        self._state: dict[str, Any] = {  # lists: one entry per source
            "consumed_positions": [0] * len(sources),
            "drawn": [0] * len(sources),
            "bad": [0] * len(sources),
            "source": 0,  # source of the document that was drawn last
            "pieces_given": 0,  # pieces of that document given out; 0 once it is finished
        }
        self._pieces: list[Piece] = []

    def get_state(self) -> dict[str, Any]:
        return copied(self._state)

    def set_state(self, state: dict[str, Any]) -> None:
        self._state, self._pieces = copied(state), []

    def __iter__(self) -> Mixture:
        return self

    def __next__(self) -> Packed:
        # All pieces of a split document come before another is drawn. They are not in the state:
        # the counters determine the document, which is read and encoded again after a restart.
        if given := self._state["pieces_given"]:
            drawn = self._drawn_last()
            if not self._pieces:  # the state was restored amid a document
                self._pieces = self._encoded(drawn, self.read(*drawn))
            return self._give(drawn, given)
        consumed = self._state["consumed_positions"]
        number = self._neediest(consumed, sum(consumed))
        self._state["source"] = number
        # Counted first: `_drawn_last` goes by the counters alone, here as after a restart.
        self._state["drawn"][number] += 1
        drawn = self._drawn_last()
        try:
            document = self.read(*drawn)
        except LostError as error:
            raise error.at(self.place(number, drawn.number)) from error
        except UNREADABLE as error:
            return self._bad(drawn, Condition.UNREADABLE, str(error))
        except Exception as error:
            raise defect(self.place(number, drawn.number), error) from error
        if not document.text and not any(document.items):
            return self._bad(drawn, Condition.EMPTY, "empty")
        self._pieces = self._encoded(drawn, document)
        return self._give(drawn, 0)

    def place(self, source: int, number: int) -> str:
        """Returns the name of a document in messages."""
        return f"{self.names[source]}[{number}]"

    def _neediest(self, consumed: Sequence[int], total: int) -> int:
        """Returns the first source with the largest deficit."""
        # Not in numpy, which would take a tenth of a document's time for three numbers.
        deficits = [w * total - own for w, own in zip(self._weights, consumed, strict=True)]
        return deficits.index(max(deficits))

    def _document(self, source: int, number: int, turn: int) -> Document:
        varied = self._varied.get(source)
        plain = self._sources[source]
        return checked(plain[number] if varied is None else varied.variant(number, turn))

    def _encoded(self, drawn: Drawn, document: Document) -> list[Piece]:
        try:
            return self._encoder(document, only_answers=self._only_answers[drawn.source])
        except UserError as error:  # an item of a stream that the run lacks: an error, not a skip
            raise error.at(self.place(drawn.source, drawn.number)) from error

    def _give(self, drawn: Drawn, nth: int) -> Packed:
        piece = self._pieces[nth]
        last = nth + 1 == len(self._pieces)
        condition = Condition.CONTINUED if nth else (Condition.WHOLE if last else Condition.BEGUN)
        self._state["consumed_positions"][drawn.source] += len(piece.ids)
        self._state["pieces_given"] = 0 if last else nth + 1
        if last:
            self._pieces = []
        return _element(piece, drawn, condition)

    def _bad(self, drawn: Drawn, condition: Condition, why: str) -> Packed:
        bad, number = self._state["bad"], drawn.source
        bad[number] += 1
        refuse_absurd(self.names[number], bad[number], self._state["drawn"][number], why)
        nothing = Piece(np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
        return _element(nothing, drawn, condition)

    def _drawn_last(self) -> Drawn:
        number = self._state["source"]
        # A lane's draws of a source, n = 0, 1, ..., are places number + n * count of its order.
        place = self.lane.number + (self._state["drawn"][number] - 1) * self.lane.count
        order, turn = self._orders[number], 0
        if number in self._varied:  # another form every epoch
            turn = order.first_turn + place // len(self._sources[number])
        return Drawn(number, order[place], turn)


def _runs_of(source: Source) -> np.ndarray | None:
    """Returns the runs of a source that has such."""
    return source.runs if isinstance(source, InRuns) else None


def _element(piece: Piece, drawn: Drawn, condition: Condition) -> Packed:
    document = (drawn.source, drawn.number, int(condition), drawn.turn)
    return Packed(piece.ids, piece.items, document, piece.grids, piece.asked)


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a state, its lists copied too.

    One is asked for at every document, and ``deepcopy`` would cost as much as encoding.
    """
    return {name: list(own) if isinstance(own, list) else own for name, own in state.items()}
