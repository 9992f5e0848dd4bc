"""Smoothed n-gram models over a text tokenizer's ids: the baseline of counting alone.

Interpolated Kneser-Ney with one absolute discount per order (Chen and Goodman 1999, section 2.7):

    p_n(w | u) = max(c(u w) - D_n, 0) / c(u)  +  D_n · N(u ·) / c(u) · p_{n-1}(w | u')

where u' is u without its oldest token, N(u ·) the number of different tokens seen after u, and c
the raw count at the highest order and below it the number of different tokens seen *before* the
gram. The chain ends in the uniform distribution 1/V, so every token has a probability and they sum
to one. D_n = n1 / (n1 + 2 n2), from the number of grams counted once and twice.

A gram is identified by one integer: the number of its context among the contexts one shorter, times
V, plus its last token. Sorted tables of those integers make fitting and look-up a few numpy calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
"""Number of a gram that is not in the training data."""


@dataclass(frozen=True)
class _Order:
    """Counts of the grams of one length."""

    keys: np.ndarray
    """int64 [grams], sorted: context number · V + token."""
    discounted: np.ndarray
    """float64 [grams]: max(c - D, 0)."""
    context_total: np.ndarray
    """float64 [contexts]: c(u), by number of the context among the shorter grams."""
    context_backoff: np.ndarray
    """float64 [contexts]: D · N(u ·)."""


class NGram:
    """An interpolated Kneser-Ney model of one order.

    Sequences are documents: int arrays of token numbers whose first token (the document's begin
    token) is given, never predicted. Contexts do not cross documents.
    """

    def __init__(self, order: int, vocabulary: int, orders: list[_Order]) -> None:
        self.order = order
        self.vocabulary = vocabulary
        self._orders = orders

    @classmethod
    def fit(
        cls, sequences: Sequence[np.ndarray], orders: Sequence[int], vocabulary: int
    ) -> list[NGram]:
        """Returns a model of each order, fitted to the grams of all lengths up to it.

        What the orders have in common, all but their longest grams' counts, is counted once.

        Raises:
            ValueError: when no token is predicted or a token is not below ``vocabulary``.
        """
        longest = max(orders)
        tokens, predicted = _padded(sequences, longest)
        if not predicted.any() or tokens.max() >= vocabulary:
            raise ValueError(f"{predicted.sum()} tokens to count, vocabulary {vocabulary}")
        # Number 0 of length 0: the empty context, which every token follows.
        numbers, tables = [np.zeros(len(tokens), np.int64)], [np.zeros(1, np.int64)]
        for _ in range(longest):
            keys = _keys(numbers[-1], tokens, vocabulary)
            unique, number = np.unique(keys, return_inverse=True)
            tables.append(unique)
            numbers.append(number)
        numbers = [number[predicted] for number in numbers]

        def discount(length: int, counts: np.ndarray) -> _Order:
            return _discount(tables[length], counts, len(tables[length - 1]), vocabulary)

        below = [
            discount(length, _continuations(numbers, tables, length + 1))
            for length in range(1, longest)
        ]
        tops = [
            discount(order, np.bincount(numbers[order], minlength=len(tables[order])))
            for order in orders
        ]
        pairs = zip(orders, tops, strict=True)
        return [cls(order, vocabulary, [*below[: order - 1], top]) for order, top in pairs]

    def log2_probabilities(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns log2 p of every token but the first, for each sequence: float64 [len - 1]."""
        tokens, predicted = _padded(sequences, self.order)
        probability = np.full(len(tokens), 1.0 / self.vocabulary)
        number = np.zeros(len(tokens), np.int64)
        for table in self._orders:
            context = np.concatenate(([0], number[:-1]))
            probability = _interpolate(table, context, tokens, probability, self.vocabulary)
            number = _find(table.keys, context, tokens, self.vocabulary)
        lengths = [len(sequence) - 1 for sequence in sequences]
        return np.split(np.log2(probability[predicted]), np.cumsum(lengths)[:-1])


def _padded(sequences: Sequence[np.ndarray], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns all sequences in a row, each begun by ``order - 1`` copies of its first token.

    The second array says which tokens are predicted.
    """
    tokens, predicted = [], []
    for sequence in sequences:
        begin = np.full(max(order - 1, 1), sequence[0])
        tokens += [begin, sequence[1:]]
        predicted += [np.zeros(len(begin), bool), np.ones(len(sequence) - 1, bool)]
    return np.concatenate(tokens).astype(np.int64), np.concatenate(predicted)


def _keys(number: np.ndarray, tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """Returns keys of the grams one longer than those in ``number``, one position further."""
    return np.concatenate(([0], number[:-1])) * vocabulary + tokens


def _continuations(numbers: list[np.ndarray], tables: list[np.ndarray], length: int) -> np.ndarray:
    """Returns, for each gram of ``length - 1``, how many grams of ``length`` end in it."""
    suffix = np.full(len(tables[length]), UNKNOWN)
    suffix[numbers[length]] = numbers[length - 1]
    return np.bincount(suffix[suffix != UNKNOWN], minlength=len(tables[length - 1]))


def _discount(keys: np.ndarray, counts: np.ndarray, contexts: int, vocabulary: int) -> _Order:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # Neither 0 nor 1: with either, a gram or everything below it would have no probability left.
    discount = float(np.clip(once / (once + 2 * twice) if once else 0.5, 0.05, 0.95))
    context = keys // vocabulary
    total = np.bincount(context, weights=counts, minlength=contexts)
    followers = np.bincount(context, weights=counts > 0, minlength=contexts)
    return _Order(keys, np.maximum(counts - discount, 0), total, discount * followers)


def _find(keys: np.ndarray, context: np.ndarray, tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    wanted = context * vocabulary + tokens
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((keys[place] == wanted) & (context != UNKNOWN), place, UNKNOWN)


def _interpolate(
    table: _Order, context: np.ndarray, tokens: np.ndarray, shorter: np.ndarray, vocabulary: int
) -> np.ndarray:
    """Returns p_n from p_{n-1}; an unseen context leaves p_{n-1} as it is."""
    place = _find(table.keys, context, tokens, vocabulary)
    total = np.where(context == UNKNOWN, 0.0, table.context_total[context])
    gram = np.where(place == UNKNOWN, 0.0, table.discounted[place])
    mixed = (gram + table.context_backoff[context] * shorter) / np.maximum(total, 1.0)
    return np.where(total > 0, mixed, shorter)
