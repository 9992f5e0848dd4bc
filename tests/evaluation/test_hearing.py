import numpy as np
import pytest

from chiasm.evaluation.hearing import LATENTS, MAJORITY, UNTRAINED, Hearing, untrained
from chiasm.evaluation.listening import SingleSounds
from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run


def test_sounds_alone_are_picked_with_their_truth(rooms):
    found = SingleSounds.of(rooms(held_out=True), 1000)
    assert len(found.sounds) == 24, "of 30 frames every fifth has several sounds"
    assert found.attributes == ["what", "side"]
    few = SingleSounds.of(rooms(held_out=True), 6)
    assert len(few.sounds) == 6
    assert len(set(few.clusters.tolist())) > 3, "from everywhere"


def test_an_attribute_counts_where_it_is_known(rooms):
    whole = SingleSounds.of(rooms(held_out=False), 1000)
    facts = [{} if n % 2 else own for n, own in enumerate(whole.truth)]
    known = SingleSounds(whole.sounds, facts, whole.clusters)
    left = [int(own["side"] == "left") for own in whole.truth]
    features = np.eye(2, dtype=np.float32)[left]
    probe = whole.probes(features)["side"]
    assert known.found("side", probe, features).all()
    assert len(known.found("side", probe, features)) == (len(facts) + 1) // 2
    assert not known.found("side", probe, features[:, ::-1]).any()


def test_latents_and_states_tell_what_sounds_and_where(hearing_model, sounding, settings):
    rows = Hearing().measure(Run(hearing_model, sounding, settings)).rows
    assert {row.baseline_name for row in rows} == {MAJORITY, UNTRAINED, LATENTS}
    by = {(row.name.split()[0], row.baseline_name): row for row in rows}
    assert {name for name, _ in by} == {"what", "side"}
    assert by["side", LATENTS].baseline == 1, "two loud ears or two quiet ones are linear"
    assert by["side", MAJORITY].baseline == pytest.approx(0.5, abs=0.2)
    assert by["side", MAJORITY].num_clusters == 5
    assert {name for (name, beside), row in by.items() if row.headline} == {"what", "side"}
    assert {row.baseline_name for row in rows if row.headline} == {UNTRAINED}


def test_an_untrained_model_has_the_first_weights(hearing_model):
    first = untrained(hearing_model, seed=0)
    assert not first.decoder.text_head.weight.any(), "they begin at zero"
    assert hearing_model.decoder.text_head.weight.any()
    assert first.tokenizers is hearing_model.tokenizers


def test_without_sounds_nothing_is_said(pretrained, material, hearing_model, settings):
    found = Hearing().measure(Run(pretrained, material, settings))
    assert not found.rows
    assert not found.skipped
    told = Hearing().measure(Run(hearing_model, material, settings)).skipped
    assert "task = 'aqa'" in told["hearing"]
    nothing = Material({}, {})
    assert Hearing().measure(Run(hearing_model, nothing, settings)).skipped
