import json
from itertools import islice

import numpy as np
import pytest

from chiasm.data.best_fit import BestFit, Packed
from chiasm.data.quiet import grain

CAPACITY = (40, 5, 40)


class Documents(grain.DatasetIterator):
    """Endless ones of all lengths up to a row's, some empty, some with items."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.plain, self.number = plain, 0

    def get_state(self):
        return {"number": self.number}

    def set_state(self, state):
        self.number = state["number"]

    def __next__(self):
        random = np.random.default_rng(self.number)
        length = int(random.choice([0, 3, 9, 20, 40], p=[0.1, 0.4, 0.3, 0.15, 0.05]))
        ids = np.arange(length) + 1000 * self.number
        items = np.full((min(length // 8, 5), 3), self.number)
        found = Packed(ids, items, (0, self.number, 0, 0))
        self.number += 1
        if not self.plain:
            return found
        return {"ids": ids, "items": items, "documents": np.array([found.document])}


class Parent(grain.IterDataset):
    def __iter__(self):
        return Documents(plain=True)


def of_grain(num_rows: int):
    bounds = dict(zip(("ids", "items", "documents"), CAPACITY, strict=True))
    packer = grain.experimental.BestFitPackIterDataset(
        Parent(), length_struct=bounds, num_packing_bins=num_rows, seed=3
    )
    return iter(packer)


def told(row: list[Packed]) -> list[tuple]:
    return [(each.document[1], each.ids.tolist(), each.items.tolist()) for each in row]


@pytest.mark.parametrize("num_rows", [1, 4, 32])
def test_rows_and_states_are_those_of_grain(num_rows):
    ours, theirs = BestFit(Documents(plain=False), CAPACITY, num_rows, seed=3), of_grain(num_rows)
    for _ in range(3 * num_rows + 5):
        row, wanted = next(ours), next(theirs)
        ids = np.concatenate([each.ids for each in row])
        assert np.array_equal(wanted["ids"][: len(ids)], ids)
        numbers = np.arange(len(row)).repeat([len(each.ids) for each in row])
        assert np.array_equal(wanted["ids_segment_ids"][: len(ids)] - 1, numbers)
        assert not wanted["ids_segment_ids"][len(ids) :].any()
        documents = wanted["documents"][wanted["documents_segment_ids"] > 0]
        assert [each.document for each in row] == [tuple(own) for own in documents.tolist()]
        assert ours.get_state() == theirs.get_state()


def test_a_state_restores_at_every_row():
    packer = BestFit(Documents(plain=False), CAPACITY, 4, seed=3)
    states, rows = [], []
    for row in islice(iter(packer.__next__, None), 30):
        rows.append(told(row))
        states.append(json.dumps(packer.get_state()))
    other = BestFit(Documents(plain=False), CAPACITY, 4, seed=3)
    for place in reversed(range(28)):
        other.set_state(json.loads(states[place]))
        assert [told(next(other)) for _ in range(2)] == rows[place + 1 : place + 3]
