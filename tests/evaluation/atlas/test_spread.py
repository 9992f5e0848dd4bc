"""Coefficients of variation: where they are known, and where there is nothing but chance."""

import numpy as np
import pytest

from chiasm.evaluation.atlas.atlas import NOISE, draw_atlas
from chiasm.evaluation.atlas.spread import Cells, Excess, Spread, measure_spread, variation

GROUPS = ("a", "b", "c", "d")


def drawn(rate_GR: np.ndarray, documents: int, positions: int, seed: int = 0) -> Cells:
    """Each document has every group; every assignment is drawn alone at the group's rates."""
    random = np.random.default_rng(seed)
    num_groups = len(rate_GR)
    count = random.multinomial(positions, rate_GR, size=(documents, num_groups))
    return Cells(
        GROUPS[:num_groups],
        count.reshape(-1, 1, rate_GR.shape[1]),
        np.full(documents * num_groups, positions),
        np.tile(np.arange(num_groups), documents),
        np.repeat(np.arange(documents), num_groups),
    )


def test_the_coefficient_of_known_rates():
    rate_GQR = np.array([[[0.1, 0.5, 0.4]], [[0.3, 0.5, 0.2]]])
    assert variation(rate_GQR, np.array([[1.0, 0, 0]])) == pytest.approx([0.1 / 0.2])
    assert variation(rate_GQR, np.array([[1.0, 1, 1]])) == pytest.approx([(0.5 + 0 + 1 / 3) / 3])
    share_QR = rate_GQR.mean(axis=0)
    assert variation(rate_GQR, share_QR) == pytest.approx([0.2 * 0.5 + 0.3 / 3])
    assert np.isnan(variation(rate_GQR, np.zeros((1, 3)))).all()


def test_known_rates_are_found_in_counts_and_are_more_than_chance():
    rate_GR = np.array([[0.1, 0.5, 0.4], [0.3, 0.5, 0.2]])
    spread = measure_spread(drawn(rate_GR, 50, 200), 1, seed=0, weight_QR=np.array([[1.0, 0, 0]]))
    assert spread.value_Q == pytest.approx([0.5], abs=0.03)
    assert spread.rate_GQR[:, 0] == pytest.approx(rate_GR, abs=0.01)
    assert (spread.value_Q > 3 * spread.shuffled_high_Q).all()
    assert spread.verdicts == (Excess.MORE,)


def test_without_a_difference_both_chances_give_what_is_measured():
    rate_GR = np.tile([0.2, 0.3, 0.5], (4, 1))
    spreads = [measure_spread(drawn(rate_GR, 40, 20, seed), 1, seed=0) for seed in range(20)]
    value, multinomial, shuffled = (
        np.mean([getattr(spread, name) for spread in spreads])
        for name in ("value_Q", "multinomial_Q", "shuffled_Q")
    )
    assert value == pytest.approx(multinomial, rel=0.15)
    assert value == pytest.approx(shuffled, rel=0.15)
    beyond = sum(bool(s.value_Q > s.shuffled_high_Q) for s in spreads)
    assert beyond <= 3


def test_shuffling_knows_that_a_documents_positions_choose_alike():
    """Whole documents choose one expert: no group differs, and multinomial chance is too small."""
    cells = drawn(np.tile([0.2, 0.3, 0.5], (4, 1)), 40, 1)
    alike = Cells(
        cells.groups, 50 * cells.count_CQR, 50 * cells.positions_C, cells.group_C, cells.block_C
    )
    spread = measure_spread(alike, 1, seed=0)
    assert (spread.shuffled_Q > 3 * spread.multinomial_Q).all()
    assert (spread.value_Q < spread.shuffled_high_Q).all()
    assert spread.verdicts == (Excess.ONE,)


def test_more_than_chance_is_above_both_kinds():
    """A document's groups hold the same positions: shuffled lies below multinomial."""
    count_GR = np.array([[3, 3, 4], [2, 4, 4]])
    cells = Cells(
        GROUPS[:2],
        np.tile(count_GR, (6, 1))[:, None].astype(float),
        np.full(12, 10),
        np.tile([0, 1], 6),
        np.repeat(np.arange(6), 2),
    )
    spread = measure_spread(cells, 1, seed=0)
    assert (spread.shuffled_high_Q < spread.value_Q).all()
    assert (spread.value_Q < spread.multinomial_high_Q).all()
    assert spread.verdicts == (Excess.ONE,)


def test_each_block_has_its_verdict():
    nothing = np.zeros(4)
    spread = Spread(
        groups=("a", "b"),
        rate_GQR=np.zeros((2, 4, 1)),
        value_Q=np.array([0.3, 0.15, 0.05, np.nan]),
        multinomial_Q=nothing,
        multinomial_high_Q=np.full(4, 0.2),
        shuffled_Q=nothing,
        shuffled_high_Q=np.full(4, 0.1),
    )
    assert spread.verdicts == (Excess.MORE, Excess.ONE, Excess.CHANCE, Excess.UNKNOWN)


def test_groups_change_places_inside_their_block_alone():
    cells = drawn(np.tile([0.5, 0.5], (4, 1)), 30, 2)
    shuffled = cells.shuffled(np.random.default_rng(0)).reshape(30, 4)
    assert (np.sort(shuffled, axis=1) == np.arange(4)).all()
    assert (shuffled != np.arange(4)).any()


def test_one_group_has_no_spread():
    assert measure_spread(drawn(np.array([[0.5, 0.5]]), 3, 4), 1, seed=0) is None


def test_routing_by_place_varies_with_place_and_with_nothing_else(
    forced, content_weights, material
):
    content_weights[:4, 0] = content_weights[4:, 1] = 100.0  # so that there are vision experts
    spreads = draw_atlas(forced(content_weights), material).spreads
    assert (spreads[NOISE].value_Q == 0).all()
    assert (spreads["vision by source"].value_Q == 0).all()
    place = spreads["vision by place"]
    assert (place.value_Q > place.shuffled_high_Q).all()
