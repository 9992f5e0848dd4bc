from dataclasses import replace

import numpy as np
import pytest

from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.evaluation import Animation, Evaluation, Strip
from chiasm.flow import FLOW_TIMES
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluation(pretrained, material, settings) -> Evaluation:
    return evaluate(pretrained, material, settings)


def test_every_section_is_measured_on_a_world(evaluation):
    sections = {row.section for row in evaluation.rows}
    assert sections == {
        "text",
        "recurrence",
        "caption to picture",
        "questions",
        "next view",
        "rollout",
        "clip",
        "flow loss",
    }
    assert set(evaluation.skipped) == {"rollout, 16 frames ahead"}


def test_the_comparisons_that_the_project_promises_are_headlines(evaluation):
    pairs = {(row.section, row.baseline_name) for row in evaluation.rows if row.headline}
    assert pairs >= {
        ("text", "trigram"),
        ("questions", "majority answer"),
        ("questions", "blank image"),
        ("caption to picture", "shuffled captions"),
        ("next view", "last frame, decoded"),
        ("next view", "shuffled actions"),
        ("rollout", "last context frame, decoded"),
        ("rollout", "shuffled actions"),
    }


def test_every_number_is_finite_and_clustered_by_map(evaluation):
    for row in evaluation.rows:
        assert np.isfinite(row.value)
        assert row.num_clusters <= row.num_items
        if row.section in ("caption to picture", "questions", "next view", "rollout", "clip"):
            assert row.num_clusters <= 4  # the held-out maps


def test_an_untrained_model_is_not_said_to_beat_the_trigram(evaluation):
    row = next(r for r in evaluation.rows if r.section == "text" and r.baseline_name == "trigram")
    assert row.value > 2
    assert row.difference > 0


def test_samples_of_every_kind_are_there_to_look_at(evaluation, settings):
    sections = {sample.section for sample in evaluation.samples}
    assert sections >= {"caption to picture", "questions", "next view", "rollout", "clip"}
    assert "continuation" in sections
    for sample in evaluation.samples:
        for panel in sample.panels:
            assert panel.pixels.dtype == np.uint8
            assert panel.pixels.shape == (32, 32, 3) or isinstance(panel, Strip | Animation)


def test_flow_points_cover_the_levels_of_every_source(evaluation, settings):
    assert {p.source for p in evaluation.flow_points} == {"image_text", "video", "action_video"}
    for source in ("image_text", "video", "action_video"):
        times = [p.flow_time for p in evaluation.flow_points if p.source == source]
        assert times == list(FLOW_TIMES)


def test_progress_names_each_section_once(pretrained, material, settings):
    heard = []
    small = settings.model_copy(
        update={"questions": 4, "drawings": 2, "next_views": 2, "rollouts": 0}
    )
    evaluate(pretrained, material, small, lambda *said: heard.append(said))
    assert [number for _, number, _ in heard] == list(range(heard[0][2]))


def test_the_same_evaluation_twice_is_equal(evaluation, pretrained, material, settings):
    again = evaluate(pretrained, material, settings)
    assert repr(again.rows) == repr(evaluation.rows)


def test_a_users_folder_skips_what_needs_ground_truth(pretrained, folder_material, settings):
    evaluation = evaluate(pretrained, folder_material, settings)
    assert set(evaluation.skipped) == {"caption to picture", "questions", "next view", "rollout"}
    assert all(evaluation.skipped.values())
    assert {row.section for row in evaluation.rows} == {"text", "recurrence", "flow loss"}
    drawn = [s for s in evaluation.samples if s.section == "caption to picture"]
    assert drawn
    assert [panel.label for panel in drawn[0].panels] == ["drawn", "truth, decoded", "truth"]


def test_without_a_decoder_everything_else_is_measured(pretrained, material, settings):
    own = pretrained.vision_tokenizer
    encoder = Tokenizer(own.name, own.encoder, None, own.statistics)
    blind = replace(pretrained, tokenizers=StreamTokenizers({"image": encoder}))
    evaluation = evaluate(blind, material, settings)
    assert set(evaluation.skipped) == {"caption to picture", "next view", "rollout", "clip"}
    assert all("no decoder" in reason for reason in evaluation.skipped.values())
    sections = {row.section for row in evaluation.rows}
    assert sections == {"text", "recurrence", "questions", "flow loss"}
