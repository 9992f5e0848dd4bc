"""The whole atlas: who is refused, what is left out and why, what is told of loads."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.evaluation.atlas.atlas import SPREADS, draw_atlas
from chiasm.evaluation.atlas.settings import AtlasSettings

TEXT, VISION = 0, 1


@pytest.mark.parametrize("experts", ["dense", "modality"])
def test_a_dense_run_is_refused(experts, mixture, material):
    with pytest.raises(UserError, match=f"model.experts = '{experts}': this run has no learned"):
        draw_atlas(mixture(experts=experts), material)


def test_everything_is_measured_where_the_data_allows_it(mixture, material):
    atlas = draw_atlas(mixture(), material, AtlasSettings(cutoff=0.2))
    assert not atlas.skipped
    assert list(atlas.spreads) == list(SPREADS)
    assert atlas.documents == {"captions": 30, "drawings": 30, "texts": 20}
    assert atlas.positions["context"] == atlas.positions["target"] == 120
    assert atlas.blocks == (0, 1)


def test_blocks_keep_their_numbers_behind_dense_ones(mixture, material):
    assert draw_atlas(mixture(depth=3, dense_blocks=1), material).blocks == (1, 2)


def test_texts_alone_leave_out_what_needs_pictures(mixture, texts_alone):
    atlas = draw_atlas(mixture(), texts_alone)
    assert atlas.specialisation is None
    assert atlas.tasks is None
    assert set(atlas.spreads) == {"text by place"}
    assert set(atlas.loads[0]) == {"text", "all"}
    assert set(atlas.skipped) == {
        *("specialisation", "understanding and generation"),
        *(told for name, told in SPREADS.items() if name != "text by place"),
    }
    assert "of the 20 documents read none holds a picture;" in atlas.skipped["specialisation"]
    for name in ("noise", "noise, all experts"):
        assert "holds a picture to draw; all that is held out" in atlas.skipped[SPREADS[name]]
    assert "holds a picture;" in atlas.skipped[SPREADS["vision by source"]]
    assert "lie in one group" in atlas.skipped[SPREADS["text by source"]]


def test_pictures_that_are_only_read_leave_out_drawing(mixture, captions_and_texts):
    atlas = draw_atlas(mixture(), captions_and_texts)
    assert atlas.specialisation is not None
    assert atlas.tasks is None
    assert not {"noise", "noise, all experts", "vision by source"} & set(atlas.spreads)
    assert "holds a picture to draw" in atlas.skipped[SPREADS["noise"]]
    told = atlas.skipped["understanding and generation"]
    assert "asks for one picture in words; all that is held out was read" in told
    assert "reads a picture" not in told


def test_what_more_documents_may_hold_is_not_denied(mixture, drawings_between):
    atlas = draw_atlas(mixture(), drawings_between, AtlasSettings(documents=2))
    told = atlas.skipped["understanding and generation"]
    assert "of the 2 documents read none asks for one picture in words" in told
    assert "5 more are held out: a larger --documents may find one" in told


def test_without_vision_experts_noise_has_none_to_choose(forced, content_weights, material):
    content_weights[[1, 2], TEXT] = content_weights[[1, 2], VISION] = 100.0
    atlas = draw_atlas(forced(content_weights), material)
    assert "noise" not in atlas.spreads
    assert "noise, all experts" in atlas.spreads
    assert "at this cut-off: the least S is 0.000" in atlas.skipped[SPREADS["noise"]]


@pytest.mark.slow
def test_the_cutoff_that_is_named_finds_a_vision_expert(mixture, material):
    told = draw_atlas(mixture(), material, AtlasSettings(cutoff=0.99)).skipped[SPREADS["noise"]]
    cutoff = float(re.search(r"with --cutoff (0\.\d\d) there is one", told)[1])
    atlas = draw_atlas(mixture(), material, AtlasSettings(cutoff=cutoff))
    assert atlas.specialisation.of_vision(cutoff).sum() == 1


def test_dead_experts_and_loads_of_forced_routing(forced, content_weights, material):
    content_weights[:] = 0
    content_weights[[1, 2], TEXT] = 100.0
    content_weights[[4, 7], VISION] = 100.0
    atlas = draw_atlas(forced(content_weights), material)
    assert atlas.dead == ((0, 3, 5, 6),) * 2
    for loads in atlas.loads:
        for modality in ("text", "vision"):
            assert loads[modality]["unused"] == pytest.approx(6 / 8)
            assert loads[modality]["largest_load"] == pytest.approx(4)
            assert loads[modality]["entropy"] == pytest.approx(math.log(2) / math.log(8))
        assert loads["all"]["unused"] == pytest.approx(0.5)


@pytest.mark.slow
def test_the_same_atlas_twice_is_equal_and_the_seed_counts(mixture, material):
    pretrained = mixture()
    first, again = (draw_atlas(pretrained, material, AtlasSettings(seed=3)) for _ in range(2))
    assert repr(replace(first, seconds=0)) == repr(replace(again, seconds=0))
    other = draw_atlas(pretrained, material, AtlasSettings(seed=4))
    assert not np.array_equal(first.tasks.drawn_QR, other.tasks.drawn_QR)


def test_settings_bound_the_documents(mixture, material):
    heard = []
    atlas = draw_atlas(
        mixture(), material, AtlasSettings(documents=4), lambda *said: heard.append(said[1:])
    )
    assert set(atlas.documents.values()) == {4}
    assert atlas.holding == {"text": 12, "context": 4, "target": 4}
    assert heard[-1] == (12, 12)
