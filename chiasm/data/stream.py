"""The stream of packed batches: a function of (seed, position), restored exactly.

Read in this order:

1. a source gives documents by index (``sources.py``);
2. a lane's mixture picks the source with the largest deficit, reads and encodes (``mixture.py``);
3. a packer fills rows with whole documents, the lane reads items (``lanes.py``);
4. global row g is row g // L of lane g % L; a batch takes the next B of them (here);
5. a thread keeps some batches ready (grain's prefetch); the state follows the batch given out.

Rank r of R owns the lanes r, r + R, ... and so the rows r, r + R, ... of every batch: any number
of ranks that divides both the lanes and the rows of a batch sees the same global batches.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.batch.items import ItemReader
from chiasm.batch.packed import PackedBatch
from chiasm.batch.streams import Streams
from chiasm.data.encoding import DocumentEncoder, refuse_short_rows
from chiasm.data.lanes import COUNTS, LaneRows
from chiasm.data.mixture import Lane, Mixture
from chiasm.data.quiet import grain
from chiasm.data.rows import Assembler
from chiasm.data.settings import StreamSettings
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Source
from chiasm.errors import UserError

PREFETCHED_BATCHES = 4
"""Batches that the reading thread keeps ready: enough for a slow document, little memory."""


@dataclass(frozen=True)
class StreamReport:
    """Counts of a stream's batches so far, by source."""

    weights: dict[str, float]
    """Target shares of positions; they add up to 1."""
    shares: dict[str, float]
    """Actual shares of positions."""
    positions: dict[str, int]
    documents: dict[str, int]
    """Documents read, skipped ones included."""
    split: dict[str, int]
    """Documents longer than a row."""
    skipped: dict[str, int]
    """Documents that are empty, unreadable or have an unreadable item; of split ones, pieces."""
    broken: dict[str, int]
    """Skipped documents with an unreadable item."""
    notes: tuple[str, ...]
    """The first documents of each lane that were split or skipped, with reasons."""
    rows: int
    filled: float
    """Share of positions that are not padding."""
    alarms: tuple[str, ...]
    """Sources whose share has drifted from their weight."""


class Stream:
    """An endless iterator of packed batches.

    ``sources`` are those of ``settings.sources``, opened. One rank of several yields its own rows
    of every global batch, in order. ``reader`` reads the items of documents.

    Raises:
        UserError: a row shorter than one item, a source without documents, ranks that do not
            divide lanes and rows; while iterating, a source most of whose documents are bad.
    """

    def __init__(
        self,
        settings: StreamSettings,
        sources: Mapping[str, Source],
        tokenizer: TextTokenizer,
        reader: ItemReader,
        seed: int,
        *,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self.settings = settings
        _refuse(settings, sources, reader.streams, num_ranks)
        self._names = tuple(sources)
        encoder = DocumentEncoder(tokenizer, reader, settings.sequence_length)
        weights = {name: settings.sources[name].weight for name in sources}
        answers = {name for name in sources if settings.sources[name].only_answers}
        lanes = {
            number: LaneRows(
                Mixture(sources, weights, encoder, Lane(number, settings.lanes), seed, answers),
                settings.sequence_length,
                settings.rows_packed_together,
                seed,
                reader,
            )
            for number in range(rank, settings.lanes, num_ranks)
        }
        drop = settings.condition_dropout
        assemble = Assembler(tokenizer, reader.streams, self._names, drop, seed)
        batches = _Batches(lanes, assemble, settings.batch_size // num_ranks)
        ready = grain.experimental.ThreadPrefetchDatasetIterator(batches, PREFETCHED_BATCHES)
        # In a list, so that the finalizer can close and drop it before the interpreter tears down
        # the modules that grain's clean-up needs.
        self._running = [ready]
        weakref.finalize(self, _stop, self._running)

    def __iter__(self) -> Iterator[PackedBatch]:
        return self

    def __next__(self) -> PackedBatch:
        return next(self._running[0])

    def get_state(self) -> dict[str, Any]:
        """Returns the JSON-able state just after the last batch, packing buffers included."""
        return self._running[0].get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from a state of this stream, or of all ranks' states merged."""
        self._running[0].set_state(state)

    def merged(self, states: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Returns one state of those of all ranks; any number of ranks goes on from it."""
        lanes = {number: own for state in states for number, own in state["lanes"].items()}
        in_turn = sorted(lanes.items(), key=lambda lane: int(lane[0]))
        return {**states[0], "lanes": dict(in_turn)}

    def close(self) -> None:
        """Stops the reading thread."""
        _stop(self._running)

    def report(self, state: Mapping[str, Any] | None = None) -> StreamReport:
        """Returns counts of the batches so far, over this rank's lanes, or those of ``state``."""
        lanes = list((state or self.get_state())["lanes"].values())
        totals = {}
        for count in COUNTS:
            sums = np.sum([lane[count] for lane in lanes], 0).tolist()
            totals[count] = dict(zip(self._names, sums, strict=True))
        weights = {name: self.settings.sources[name].weight for name in self._names}
        weights = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        rows = sum(lane["rows"] for lane in lanes)
        positions = totals["positions"]
        total = max(1, sum(positions.values()))
        # Drift explained by rows packed ahead and by the last document of each lane.
        rows_ahead = len(lanes) * (self.settings.rows_packed_together + 1)
        slack_positions = rows_ahead * self.settings.sequence_length
        return StreamReport(
            **totals,
            weights=weights,
            shares={name: positions[name] / total for name in self._names},
            notes=tuple(note for lane in lanes for note in lane["notes"]),
            rows=rows,
            filled=sum(positions.values()) / max(1, rows * self.settings.sequence_length),
            alarms=_alarms(positions, weights, slack_positions),
        )


class _Batches:
    """Takes rows from the lanes in turn."""

    def __init__(self, lanes: Mapping[int, LaneRows], assemble: Assembler, batch_size: int) -> None:
        self._lanes, self._assemble, self._batch_size = lanes, assemble, batch_size
        self._given = 0

    def __next__(self) -> PackedBatch:
        in_turn = list(self._lanes.values())
        begin = self._given * self._batch_size
        turns = range(begin, begin + self._batch_size)
        self._given += 1
        return self._assemble([next(in_turn[turn % len(in_turn)]) for turn in turns])

    def get_state(self) -> dict[str, Any]:
        lanes = {str(number): lane.get_state() for number, lane in self._lanes.items()}
        return {"batches_given": self._given, "lanes": lanes}

    def set_state(self, state: dict[str, Any]) -> None:
        self._given = state["batches_given"]
        for number, lane in self._lanes.items():
            lane.set_state(state["lanes"][str(number)])


def _stop(running: list[grain.DatasetIterator]) -> None:
    for iterator in running:
        iterator.close()
    running.clear()


def _refuse(
    settings: StreamSettings, sources: Mapping[str, Source], streams: Streams, num_ranks: int
) -> None:
    refuse_short_rows(settings.sequence_length, streams)
    if not sources:
        raise UserError("sources is empty: name at least one source to read")
    for name, source in sources.items():
        if not len(source):
            raise UserError(f"source {name!r} has no documents; check its path and settings")
    refuse_uneven(settings, num_ranks)


def refuse_uneven(settings: StreamSettings, num_ranks: int) -> None:
    """Refuses lanes and rows that ranks cannot share evenly.

    Raises:
        UserError: they cannot.
    """
    for what in ("lanes", "batch_size"):
        if getattr(settings, what) % num_ranks:
            why = f"cannot be shared by {num_ranks} ranks"
            raise settings.error(what, why, f"give a multiple of {num_ranks}")


def _alarms(
    positions: Mapping[str, int], weights: Mapping[str, float], slack_positions: int
) -> tuple[str, ...]:
    total = sum(positions.values())
    return tuple(
        f"source {name!r} has {count / total:.1%} of the positions, its weight asks for "
        f"{weights[name]:.1%}"
        for name, count in positions.items()
        if abs(count - weights[name] * total) > max(slack_positions, 0.05 * weights[name] * total)
    )
