"""Rates, S and classes, where they are known."""

import numpy as np
import pytest

from chiasm.evaluation.atlas.atlas import draw_atlas
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.evaluation.atlas.specialisation import classes, rates, specialisation
from chiasm.intervals import RESAMPLES

TEXT, VISION = 0, 1
FORCE = 100.0


def test_experts_forced_apart_have_s_of_one_and_minus_one(forced, content_weights, material):
    content_weights[:4, TEXT] = content_weights[4:, VISION] = FORCE
    special = draw_atlas(forced(content_weights), material).specialisation
    assert (special.value_QR[:, :4] == 1).all()
    used = ~np.isnan(special.value_QR[:, 4:])
    assert (special.value_QR[:, 4:][used] == -1).all()
    assert (used.sum(axis=1) >= 2).all()
    assert (special.count_Q3[:, 0] == 4).all()
    assert (special.count_Q3[:, 1] == 0).all()
    assert np.array_equal(special.count_Q3[:, 2] + special.unused_Q, [4, 4])
    # Forced by modality, whatever is drawn again.
    assert np.array_equal(special.share_Q3.low[:, 0], special.share_Q3.high[:, 0])


def test_experts_that_all_positions_use_are_multimodal(forced, content_weights, material):
    content_weights[:] = 0
    content_weights[2, [TEXT, VISION]] = FORCE
    content_weights[5, [TEXT, VISION]] = FORCE / 2
    special = draw_atlas(forced(content_weights), material).specialisation
    assert (special.value_QR[:, [2, 5]] == 0).all()
    assert (special.count_Q3 == [0, 2, 0]).all()
    assert (special.unused_Q == 6).all()
    assert (special.text_QR[:, [2, 5]] == 0.5).all()


def test_a_resample_without_a_modality_is_left_out(forced, content_weights, captions_and_texts):
    """Four documents: no picture is drawn again in about one of sixteen resamples."""
    content_weights[:] = 0
    content_weights[2, [TEXT, VISION]] = FORCE
    content_weights[5, [TEXT, VISION]] = FORCE / 2
    settings = AtlasSettings(documents=2)
    special = draw_atlas(forced(content_weights), captions_and_texts, settings).specialisation
    assert 0 < special.left_out < RESAMPLES / 4
    # The same two experts serve both, whatever is drawn again.
    for bound in (special.share_Q3.low, special.share_Q3.high):
        assert (bound == [0, 2 / 8, 0]).all()


def test_nothing_is_left_out_where_every_document_has_both(mixture, material):
    assert draw_atlas(mixture(), material).specialisation.left_out == 0


def test_rates_are_shares_of_the_modalitys_assignments():
    count_QR = np.array([[6, 3, 3], [0, 12, 0]])
    assert rates(count_QR, 4, choices=3).tolist() == [[0.5, 0.25, 0.25], [0, 1, 0]]
    assert np.isnan(rates(count_QR, 0, choices=3)).all()


def test_s_does_not_depend_on_how_many_positions_each_modality_has():
    text, vision = np.array([[30, 10]]), np.array([[2, 6]])
    value_QR = specialisation(rates(text, 40, 1), rates(vision, 8, 1))
    assert value_QR[0] == pytest.approx([0.5, -0.5])
    value_QR = specialisation(rates(100 * text, 4000, 1), rates(vision, 8, 1))
    assert value_QR[0] == pytest.approx([0.5, -0.5])


def test_the_cutoff_divides_the_classes():
    value_QR = np.array([[1.0, 0.6, 0.4, 0.0, -0.4, -0.6, -1.0, np.nan]])
    assert classes(value_QR, 0.5).tolist() == [[2, 3, 2]]
    assert classes(value_QR, 0.3).tolist() == [[3, 1, 3]]
    assert classes(value_QR, 0.9).tolist() == [[1, 5, 1]]


@pytest.mark.slow
def test_the_setting_is_what_is_counted(mixture, material):
    pretrained = mixture()
    narrow = draw_atlas(pretrained, material, AtlasSettings(cutoff=0.2)).specialisation
    wide = draw_atlas(pretrained, material, AtlasSettings(cutoff=0.8)).specialisation
    assert np.array_equal(narrow.count_Q3, narrow.count_by_cutoff[0.2])
    assert np.array_equal(wide.count_Q3, narrow.count_by_cutoff[0.8])
    assert (narrow.count_Q3[:, 1] < wide.count_Q3[:, 1]).all()
