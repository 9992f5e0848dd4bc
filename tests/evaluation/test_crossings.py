from dataclasses import replace

import numpy as np
import pytest

from chiasm.data.reading import ReadingLog
from chiasm.documents import Image, Sound
from chiasm.evaluation.crossings import (
    MEAN,
    SHUFFLED_PICTURES,
    SHUFFLED_SOUNDS,
    PictureToSound,
    SoundToPicture,
    _crossed,
    crossings,
)
from chiasm.evaluation.evaluation import Panel, SoundPanel
from chiasm.evaluation.hearing import untrained
from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run
from chiasm.flow import FlowSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer


@pytest.fixture
def run(hearing_model, sounding, settings) -> Run:
    return Run(hearing_model, sounding, settings)


def test_a_model_of_sounds_without_such_documents_is_told(run):
    pictures = replace(run.material, held_out={}, train={})
    alone = Run(run.pretrained, pictures, run.settings)
    for measure in (PictureToSound(), SoundToPicture()):
        found = measure.measure(alone)
        assert not found.rows
        assert "task = 'image_sound'" in found.skipped[measure.section]


@pytest.mark.parametrize(
    ("stream", "measures"),
    [("sound", (PictureToSound(), SoundToPicture())), ("image", (SoundToPicture(),))],
)
def test_a_stream_that_is_only_read_is_told(run, stream, measures):
    own = run.pretrained.tokenizers[stream]
    encoder = Tokenizer(own.name, own.encoder, None, own.statistics)
    tokenizers = StreamTokenizers({**run.pretrained.tokenizers, stream: encoder})
    reader = Run(replace(run.pretrained, tokenizers=tokenizers), run.material, run.settings)
    for measure in measures:
        found = measure.measure(reader)
        assert not found.rows
        assert found.skipped == {measure.section: "there is no decoder, so nothing can be made"}


def test_documents_are_those_of_one_direction(rooms):
    source = rooms(held_out=True)
    for given, asked in ((Image, Sound), (Sound, Image)):
        found = crossings(source, given, asked, 8, ReadingLog())
        assert len(found) == 8
        assert all(isinstance(each.prompt[0], given) for each in found)
        assert all(isinstance(each.item, asked) and each.item.target for each in found)
        for each in found:
            assert each.cluster == source.place_of(source.frame_of(each.number))


def test_shuffled_prompts_are_of_other_maps_with_the_same_noise(run, sounding):
    source = sounding.held_out["rooms"]
    items, made, wrong = _crossed(run, source, Image, Sound)
    assert len(items) == len(made) == len(wrong) == 6
    # A model that does not look makes the same of any prompt: the noise is that of the place.
    model = replace(untrained(run.pretrained, 0), flow=FlowSettings(prediction="v"))
    blind = Run(model, sounding, run.settings)
    _, made, wrong = _crossed(blind, source, Image, Sound)
    for own, other in zip(made, wrong, strict=True):
        np.testing.assert_allclose(own.data.samples_CT, other.data.samples_CT, atol=1e-4)
    assert np.abs(made[0].data.samples_CT - made[1].data.samples_CT).max() > 1e-3


def test_sounds_of_pictures_stand_beside_shuffled_pictures_and_the_mean(run):
    found = PictureToSound().measure(run)
    distances = [row for row in found.rows if row.unit == "dB"]
    assert [row.baseline_name for row in distances] == [SHUFFLED_PICTURES, MEAN, None]
    own, _, ceiling = distances
    assert ceiling.value < own.value, "random weights make no true sounds"
    assert own.better == "lower"
    heard = {
        row.name.split()[0]: row for row in found.rows if row.baseline_name and row.unit == "share"
    }
    assert set(heard) == {"what", "side"}
    assert heard["side"].headline
    real = {row.name: row.value for row in found.rows if "real held-out" in row.name}
    assert set(real.values()) == {1.0}, "the probe hears real sounds"
    panels = found.samples[0].panels
    assert [type(panel) for panel in panels] == [Panel, *[SoundPanel] * 3]


def test_pictures_of_sounds_stand_beside_shuffled_sounds(run):
    found = SoundToPicture().measure(run)
    assert {row.baseline_name for row in found.rows} == {SHUFFLED_SOUNDS, None}
    assert {row.unit for row in found.rows} == {"dB", "latent RMS"}
    assert [type(panel) for panel in found.samples[0].panels] == [SoundPanel, *[Panel] * 3]


def test_one_map_has_no_shuffled_pictures(run, rooms):
    source = rooms(held_out=True)
    source.place_of = lambda frame: 0
    alone = Run(
        run.pretrained, Material({"rooms": rooms(held_out=False)}, {"rooms": source}), run.settings
    )
    assert "of one map" in PictureToSound().measure(alone).skipped["picture to sound"]


def test_without_sounds_nothing_is_said(pretrained, material, settings):
    for measure in (PictureToSound(), SoundToPicture()):
        found = measure.measure(Run(pretrained, material, settings))
        assert not found.rows
        assert not found.skipped
