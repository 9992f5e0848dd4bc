from collections import Counter

import numpy as np
import pytest

from chiasm.evaluation.ngrams import NGram

VOCABULARY = 12


def documents(seed: int, count: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(VOCABULARY - 2, 0.4), size=VOCABULARY)
    made = []
    for _ in range(count):
        tokens = [0]
        for _ in range(int(rng.integers(1, 25))):
            tokens.append(int(rng.choice(VOCABULARY - 2, p=weights[tokens[-1]])) + 1)
        made.append(np.array(tokens))
    return made


def fit(sequences: list[np.ndarray], order: int, vocabulary: int = VOCABULARY) -> NGram:
    return NGram.fit(sequences, [order], vocabulary)[0]


class Reference:
    """Interpolated Kneser-Ney over tuples in dictionaries, one probability at a time."""

    def __init__(self, sequences, order):
        grams = Counter()
        for sequence in sequences:
            padded = [sequence[0]] * max(order - 1, 1) + list(sequence[1:])
            for end in range(max(order - 1, 1), len(padded)):
                grams[tuple(padded[end - order + 1 : end + 1])] += 1
        self.counts = {order: grams}
        for length in range(order - 1, 0, -1):
            self.counts[length] = Counter(gram[1:] for gram in self.counts[length + 1])
        self.order = order

    def probability(self, context, token):
        if len(context) > self.order - 1:
            context = context[len(context) - self.order + 1 :]
        return self._of(tuple(context), token, len(context) + 1)

    def _of(self, context, token, length):
        if length == 0:
            return 1 / VOCABULARY
        counts = self.counts[length]
        shorter = self._of(context[1:], token, length - 1)
        once = sum(count == 1 for count in counts.values())
        twice = sum(count == 2 for count in counts.values())
        discount = min(max(once / (once + 2 * twice) if once else 0.5, 0.05), 0.95)
        seen = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
        total = sum(seen.values())
        if not total:
            return shorter
        return (max(seen.get(token, 0) - discount, 0) + discount * len(seen) * shorter) / total


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_equal_a_reference_in_dictionaries(order):
    train, test = documents(0), documents(1, count=6)
    model, reference = fit(train, order), Reference(train, order)
    for sequence, found in zip(test, model.log2_probabilities(test), strict=True):
        padded = [sequence[0]] * max(order - 1, 1) + list(sequence[1:])
        for number, log2 in enumerate(found):
            end = number + max(order - 1, 1)
            expected = reference.probability(padded[end - order + 1 : end], padded[end])
            assert 2**log2 == pytest.approx(expected, rel=1e-9)


def test_orders_that_are_fitted_together_equal_each_one_alone():
    train, test, orders = documents(0), documents(1, count=6), [3, 1, 5, 2]
    for order, model in zip(orders, NGram.fit(train, orders, VOCABULARY), strict=True):
        assert model.order == order
        alone = fit(train, order).log2_probabilities(test)
        found = model.log2_probabilities(test)
        assert all(np.array_equal(a, b) for a, b in zip(found, alone, strict=True))


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_sum_to_one(order):
    model = fit(documents(0), order)
    for history in ([0], [0, 3], [0, 5, 5, 1, 2], [0, 11, 11, 11]):  # 11 is never seen
        every = [np.array([*history, token]) for token in range(VOCABULARY)]
        last = [2 ** log2[-1] for log2 in model.log2_probabilities(every)]
        assert sum(last) == pytest.approx(1)
        assert min(last) > 0


def test_longer_contexts_help_on_text_that_needs_them():
    cycle = [np.array([0, *([1, 2, 1, 3] * 20)]) for _ in range(10)]
    bits = {
        order: -fit(cycle[:5], order).log2_probabilities(cycle[5:])[0].mean() for order in (1, 2, 3)
    }
    assert bits[1] > bits[2] > bits[3]
    assert bits[3] < 0.3


def test_contexts_do_not_cross_documents():
    one = [np.array([0, 1, 2]), np.array([0, 3, 4])]
    forward = fit(one, 3).log2_probabilities(one)
    backward = fit(one[::-1], 3).log2_probabilities(one)
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


def test_a_document_of_one_token_predicts_nothing():
    scores = fit(documents(0), 3).log2_probabilities([np.array([0])])
    assert [len(score) for score in scores] == [0]


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="0 tokens to count"):
        fit([np.array([0])], 2)


def test_large_vocabularies_do_not_collide():
    train = [np.array([0, 199_999, 5, 199_999, 5]), np.array([0, 199_999, 7])]
    model = fit(train, 5, 200_000)
    seen, unseen = model.log2_probabilities([np.array([0, 199_999, 5]), np.array([0, 199_999, 6])])
    assert seen[1] > unseen[1]
    assert seen[0] == unseen[0]
