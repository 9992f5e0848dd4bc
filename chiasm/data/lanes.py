"""One lane of the stream: mixture → packer → rows with their items, and counts.

Only small integer arrays are packed; items are read when their row is due. If an item cannot be
decoded, the positions of its document become padding and the row is emitted without it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import compress, count
from typing import Any

import numpy as np

from chiasm.batch.items import CacheError, Content, ItemReader
from chiasm.batch.packed import NOBODY
from chiasm.data.best_fit import BestFit, Packed
from chiasm.data.mixture import Condition, Mixture, copied
from chiasm.data.reading import UNREADABLE, LostError, defect, refuse_absurd
from chiasm.data.rows import Row

COUNTS = ("positions", "documents", "split", "skipped", "broken")
_NOTES = 10


class LaneRows:
    """The endless rows of one lane; its state is the packer's, and counts over the emitted rows.

    Shape suffixes as in :mod:`chiasm.data.rows`: T positions, I items and S documents of a row.
    """

    def __init__(
        self,
        mixture: Mixture,
        sequence_length: int,
        rows_packed_together: int,
        seed: int,
        reader: ItemReader,
    ) -> None:
        # The bounds of items and documents are so wide that the positions alone fill a row, save
        # for very many documents without content, which have none.
        smallest = min((each.fewest_tokens for each in reader.streams), default=1)
        capacity = (sequence_length, sequence_length // smallest, sequence_length)
        own = int(np.random.SeedSequence([seed, mixture.lane.number]).generate_state(1)[0])
        self._packer = BestFit(mixture, capacity, rows_packed_together, own)
        self._length = sequence_length
        self._mixture, self._read = mixture, reader.read
        self._counts: dict[str, Any] = {name: [0] * len(mixture.names) for name in COUNTS}
        self._counts |= {"rows": 0, "notes": []}

    def get_state(self) -> dict[str, Any]:
        return {"packer": self._packer.get_state(), **copied(self._counts)}

    def set_state(self, state: dict[str, Any]) -> None:
        counts = copied(state)
        self._packer.set_state(counts.pop("packer"))
        self._counts = counts

    def __next__(self) -> Row:
        packed = next(self._packer)
        lengths = np.array([len(each.ids) for each in packed])
        documents = np.array([each.document for each in packed])
        document_T = np.full(self._length, NOBODY)
        position_T, ids_T = (np.zeros(self._length, np.int64) for _ in range(2))
        end = int(lengths.sum())
        document_T[:end] = np.arange(len(packed)).repeat(lengths)
        position_T[:end] = np.arange(end) - (lengths.cumsum() - lengths).repeat(lengths)
        ids_T[:end] = np.concatenate([each.ids for each in packed])
        items = np.concatenate([each.items for each in packed])
        grids = [grid for each in packed for grid in each.grids]
        # The document of each item, by its number in the row.
        owner_I = np.arange(len(packed)).repeat([len(each.items) for each in packed])
        contents, broken = self._contents(documents, items[:, 0], owner_I)
        self._count(documents, lengths, broken)
        kept = _kept(documents, broken)
        kept_I = kept[owner_I] != NOBODY
        row = Row(
            ids_T=ids_T,
            # Padding has the number -1 and so picks the last entry, which is of no document.
            document_T=kept[document_T],
            position_T=position_T,
            source_S=documents[kept[:-1] != NOBODY, 0],
            stream_I=items[kept_I, 1],
            target_I=items[kept_I, 2].astype(bool),
            grids=tuple(compress(grids, kept_I)),
            contents=tuple(contents[place] for place in np.flatnonzero(kept_I).tolist()),
            lane=self._mixture.lane.number,
            number=self._counts["rows"],
            asked_T=_asked(packed, self._length),
        )
        self._counts["rows"] += 1
        return row

    def _contents(
        self, documents: np.ndarray, numbers: np.ndarray, owner_I: np.ndarray
    ) -> tuple[dict[int, Content], dict[int, str]]:
        """Returns items by their place in the row, and reasons by document with a broken item."""
        contents: dict[int, Content] = {}
        broken: dict[int, str] = {}
        drawn, items = documents.tolist(), zip(numbers.tolist(), owner_I.tolist(), strict=True)
        for place, (number, owner) in enumerate(items):
            source, index, _, turn = drawn[owner]
            try:
                document = self._mixture.read(source, index, turn)
                contents[place] = self._read(tuple(document.items)[number])
            except (CacheError, LostError) as error:
                raise error.at(self._mixture.place(source, index)) from error
            except UNREADABLE as error:
                broken.setdefault(owner, str(error))
            except Exception as error:
                raise defect(self._mixture.place(source, index), error) from error
        return contents, broken

    def _count(self, documents: np.ndarray, lengths: np.ndarray, broken: dict[int, str]) -> None:
        for owner, (source, index, condition, turn) in enumerate(documents.tolist()):
            reason = broken.get(owner) or self._reason(source, index, condition, turn)
            if condition != Condition.CONTINUED:
                self._counts["documents"][source] += 1
            if reason is None:
                self._counts["positions"][source] += int(lengths[owner])
            else:
                self._skip(source, index, reason, is_broken=owner in broken)
            if condition == Condition.BEGUN:
                self._counts["split"][source] += 1
                self._note(source, index, "longer than a row, split")

    def _reason(self, source: int, index: int, condition: int, turn: int) -> str | None:
        if condition == Condition.EMPTY:
            return "empty"
        if condition == Condition.UNREADABLE:
            try:
                self._mixture.read(source, index, turn)
            except UNREADABLE as error:
                return str(error)
        return None

    def _skip(self, source: int, index: int, reason: str, *, is_broken: bool) -> None:
        counts = self._counts
        counts["skipped"][source] += 1
        self._note(source, index, f"skipped: {reason}")
        if is_broken:
            # Empty documents fill the first rows, as they need no room: they are bounded where
            # they are drawn, and here those alone whose items were looked at.
            counts["broken"][source] += 1
            broken = counts["broken"][source]
            others = counts["skipped"][source] - broken
            name = self._mixture.names[source]
            refuse_absurd(name, broken, counts["documents"][source] - others, reason)

    def _note(self, source: int, index: int, what: str) -> None:
        note, notes = f"{self._mixture.place(source, index)} {what}", self._counts["notes"]
        if len(notes) < _NOTES and note not in notes:
            notes.append(note)


def _asked(packed: Sequence[Packed], length: int) -> np.ndarray | None:
    """Returns which positions of a row hold what is not learned: bool [T]; None if none does."""
    if all(each.asked is None for each in packed):
        return None
    told = [np.zeros(len(own.ids), bool) if own.asked is None else own.asked for own in packed]
    return np.concatenate([*told, np.zeros(length - sum(map(len, told)), bool)])


def _kept(documents: np.ndarray, broken: Container[int]) -> np.ndarray:
    """Returns the new numbers of documents that stay in the row, else NOBODY: int64 [S + 1].

    The last entry is NOBODY.
    """
    new, kept = count(), []
    for owner, condition in enumerate(documents[:, 2].tolist()):
        stays = condition < Condition.EMPTY and owner not in broken
        kept.append(next(new) if stays else NOBODY)
    return np.array([*kept, NOBODY])
