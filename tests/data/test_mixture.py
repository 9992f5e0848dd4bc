import json
from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest

from chiasm.data.encoding import DocumentEncoder
from chiasm.data.mixture import Condition, Lane, Mixture, Order
from chiasm.documents import Document, Text
from chiasm.errors import UserError


def mixture(made, sources, weights=None, lane=None, sequence_length=40, seed=5):
    encoder = DocumentEncoder(made.tokenizer, made.reader.streams, sequence_length)
    weights = weights or dict.fromkeys(sources, 1.0)
    return Mixture(sources, weights, encoder, lane or Lane(0, 1), seed)


def drawn(elements):
    return [element.document[:2] for element in elements]


@pytest.mark.parametrize("length", [10, 1 << 14])  # a table, and grain's shuffle
def test_an_order_is_a_new_permutation_in_each_epoch(length):
    order = Order("text", length, seed=1)
    epochs = [[order[epoch * length + place] for place in range(length)] for epoch in range(2)]
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert order[length + 3] == epochs[1][3]  # any place, in any order of asking
    assert order[3] == epochs[0][3]


def test_orders_differ_by_seed_and_by_name_and_not_by_process():
    def read(name, seed):
        return [Order(name, 10, seed)[place] for place in range(10)]

    assert read("text", 1) == read("text", 1)
    assert read("text", 1) != read("text", 2)
    assert read("text", 1) != read("video", 1)


RUNS = np.arange(400) // 10


@pytest.mark.parametrize("apart", [1, 4])
def test_documents_of_a_run_follow_one_another_in_their_order(apart):
    order = Order("film", len(RUNS), 1, RUNS, apart)
    for epoch in range(2):
        read = [order[epoch * len(RUNS) + place] for place in range(len(RUNS))]
        assert sorted(read) == list(range(len(RUNS)))
        follows = sum(one + 1 == two for one, two in zip(read, read[apart:], strict=False))
        assert follows >= 0.9 * len(RUNS) - 2 * apart  # runs are cut where stretches end
        assert len({RUNS[number] for number in read[:apart]}) == apart
    first = [[Order("film", len(RUNS), seed, RUNS, 1)[0] for seed in range(9)]]
    assert len(set(*first)) > 5


def test_each_lane_reads_runs_of_its_own(made):
    source = made.Listed("film", made.texts(1, len(RUNS)))
    source.runs = RUNS
    seen = []
    for number in range(2):
        mine = iter(mixture(made, {"film": source}, lane=Lane(number, 2)))
        seen.append([index for _, index in drawn(islice(mine, len(RUNS) // 2))])
    assert sorted(chain(*seen)) == list(range(len(RUNS)))
    runs = [{int(RUNS[index]) for index in each} for each in seen]
    assert len(runs[0] & runs[1]) <= 4
    again = iter(mixture(made, {"film": source}, lane=Lane(1, 2)))
    state = None
    for _ in range(30):
        next(again)
        state = again.get_state()
    other = mixture(made, {"film": source}, lane=Lane(1, 2))
    other.set_state(state)
    assert drawn(islice(other, 9)) == drawn(islice(again, 9))


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_lanes_together_read_each_document_once_an_epoch(made, length):
    count = 3
    source = made.Listed("text", made.texts(1, length))
    seen = Counter()
    for number in range(count):
        lane = Lane(number, count)
        mine = iter(mixture(made, {"text": source}, lane=lane))
        places = range(number, 2 * length, count)
        seen.update(index for _, index in drawn(islice(mine, len(places))))
    assert seen == Counter(dict.fromkeys(range(length), 2))


def test_shares_are_of_positions_and_exact_to_a_document(made):
    sources = {
        "short": made.Listed("short", [Document((Text("a"),))] * 3),
        "long": made.Listed("long", [Document((Text("a door " * 8),))] * 3),
    }
    weights = {"short": 3.0, "long": 1.0}
    positions = Counter()
    elements = islice(mixture(made, sources, weights), 400)
    for element in elements:
        positions[element.document[0]] += len(element.ids)
        total = positions.total()
        assert abs(positions[0] - 0.75 * total) <= 40
    assert positions[0] > 1000


def test_the_state_restores_at_every_document(made):
    sources = {
        **made.three_sources(),
        "long": made.Listed("long", [Document((Text("a door " * 30),)), Document(())]),
    }
    # every source has something bad or long, so that pieces and skips are met
    iterator = iter(mixture(made, sources))
    states, elements = [], []
    for _ in range(80):
        states.append(json.dumps(iterator.get_state()))
        elements.append(next(iterator))
    assert Condition.CONTINUED in {e.document[2] for e in elements}
    other = iter(mixture(made, sources))
    for place in reversed(range(78)):
        other.set_state(json.loads(states[place]))
        for expected in elements[place : place + 2]:
            for got, wanted in zip(next(other), expected, strict=True):
                assert np.array_equal(got, wanted)


def test_empty_and_unreadable_documents_travel_without_positions(made):
    documents = [Document((Text("a"),)), Document(()), Document((Text(""),)), Document(())]
    source = made.Listed("text", documents, unreadable=frozenset({3}))
    source.documents += [Document((Text("b"),))] * 4
    elements = list(islice(mixture(made, {"text": source}), 8))
    found = {e.document[1]: e.document[2] for e in elements}
    assert found == {
        0: Condition.WHOLE, 1: Condition.EMPTY, 2: Condition.EMPTY, 3: Condition.UNREADABLE,
        **dict.fromkeys(range(4, 8), Condition.WHOLE),
    }  # fmt: skip
    assert all((len(e.ids) == 0) == (e.document[2] >= Condition.EMPTY) for e in elements)


def test_a_source_of_nothing_but_bad_documents_is_refused_and_not_searched_forever(made):
    source = made.Listed("mine", [Document(())] * 2)
    with pytest.raises(UserError, match="'mine': 13 of 13 documents cannot be used"):
        list(islice(mixture(made, {"mine": source}), 100))
