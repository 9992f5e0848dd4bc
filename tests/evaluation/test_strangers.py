"""Wrong items: never of one's own cluster, never the same content, and there whenever one is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chiasm.evaluation.strangers import NOBODY, strangers

items = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=30)


@given(items, st.integers(0, 5))
def test_a_stranger_is_of_another_cluster_and_says_something_else(items, seed):
    clusters, contents = [each[0] for each in items], [each[1] for each in items]
    found = strangers(clusters, contents, seed)
    for item, other in zip(items, found.tolist(), strict=True):
        if other == NOBODY:
            assert not any(a != item[0] and b != item[1] for a, b in items)
        else:
            assert clusters[other] != item[0]
            assert contents[other] != item[1]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 5))
def test_each_cluster_takes_from_one_and_gives_to_one(sizes, seed):
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    found = strangers(clusters, range(len(clusters)), seed)
    pairs = set(zip(clusters.tolist(), clusters[found].tolist(), strict=True))
    assert len(pairs) == len({taker for taker, _ in pairs}) == len({giver for _, giver in pairs})


def test_the_seed_decides():
    clusters = np.repeat(np.arange(5), 4)
    first, again, other = (strangers(clusters, range(20), seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
