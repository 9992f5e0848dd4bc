"""Co-activation against what loads alone would give."""

import numpy as np
import pytest

from chiasm.evaluation.atlas.atlas import draw_atlas
from chiasm.evaluation.atlas.pairs import quasi_independent


def test_a_table_made_of_loads_is_found_again():
    q = np.array([0.1, 0.5, 0.2, 0.3, 0.05])
    table = np.outer(q, q) * (1 - np.eye(5))
    assert quasi_independent(table) == pytest.approx(table, abs=1e-6)


def test_row_sums_are_kept_and_no_expert_meets_itself():
    random = np.random.default_rng(0)
    table = random.random((6, 6))
    table = (table + table.T) * (1 - np.eye(6))
    expected = quasi_independent(table)
    assert expected.sum(axis=1) == pytest.approx(table.sum(axis=1))
    assert not np.diagonal(expected).any()


def test_experts_that_are_always_together_are_told(forced, content_weights, material):
    """Expert 1 has the same scores as expert 0, but for a hair."""
    content_weights[0] *= 2  # so that they are chosen often
    content_weights[1] = content_weights[0] * (1 + 1e-4)
    pairs = draw_atlas(forced(content_weights), material).pairs
    assert [(each.modality, each.block) for each in pairs] == [
        (modality, block) for modality in ("text", "vision") for block in range(2)
    ]
    for each in pairs[:2]:  # the pictures' four places need not use these two
        twins = next(pair for pair in each.top if pair.experts == (0, 1))
        assert twins.observed > 5 * twins.expected
        assert 0 < each.moved < 1
        excess = [pair.observed - pair.expected for pair in each.top]
        assert excess == sorted(excess, reverse=True)


def test_a_single_choice_makes_no_pairs(mixture, material):
    atlas = draw_atlas(mixture(top_k=1, weights="raw"), material)
    assert atlas.pairs == ()
    assert "one routed expert" in atlas.skipped["experts chosen together"]
