"""What an untrained model says is heard as noise by a probe that hears real recordings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.audio import AudioTextSettings
from chiasm.data.source import Opening
from chiasm.documents import Split
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.evaluation import Evaluation, SoundPanel
from chiasm.evaluation.material import Material
from chiasm.evaluation.rows import Row
from chiasm.evaluation.sounds import GUESS, MAJORITY, NO_SOUNDS, SpokenWords
from chiasm.intervals import Verdict
from chiasm.model.decoder import Decoder
from chiasm.sound.mel import mel_tokenizer
from chiasm.sound.settings import MelShape
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer

SECTION = SpokenWords.section
RATE, SPEAKERS, HERTZ = 8000, 6, {"low": 300, "middle": 900, "high": 2500}


@pytest.fixture(scope="module")
def speaks(pretrained):
    """Random weights on a stream of sounds of a quarter of a second."""
    tokenizer = mel_tokenizer(MelShape(rate=RATE, seconds=0.26, hop_samples=104, mels=24))
    tokenizers = StreamTokenizers({"sound": tokenizer})
    text = pretrained.text_tokenizer.with_streams(["sound"])
    shape = {"vocabulary": text.vocabulary_size, "streams": tokenizers.streams, "seed": 0}
    decoder = Decoder(pretrained.decoder.settings, **shape).eval().requires_grad_(False)
    return replace(pretrained, decoder=decoder, text_tokenizer=text, tokenizers=tokenizers)


def recordings(folder: Path, sounds, words: list[str], **settings: object) -> Material:
    """Tones of three heights, in which speakers differ; each with its words."""
    folder.mkdir()
    lines, seconds = [], np.arange(1800) / RATE
    for number, told in enumerate(words):
        rng = np.random.default_rng(number)
        speaker = number // 3 % SPEAKERS
        tone = np.sin(2 * np.pi * [*HERTZ.values()][number % 3] * (1 + 0.02 * speaker) * seconds)
        wave = 0.4 * tone + 0.01 * rng.standard_normal(len(seconds))
        (folder / f"{number}.wav").write_bytes(sounds.written(wave, RATE))
        lines.append({"audio": f"{number}.wav", "text": told, "speaker": f"s{speaker}"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return reopened(folder, **settings)


def reopened(folder: Path, **settings: object) -> Material:
    given = {"held_out_fraction": 0.5, "task": "transcript", **settings}
    opened = AudioTextSettings(path=str(folder), **given).open("tones", Opening(160))
    return Material(*({"tones": opened.side(side)} for side in Split))


def measured(speaks, material, settings) -> Evaluation:
    asked = settings.model_copy(update={"sounds": 90, "probe_sounds": 90, "shown": 90})
    return evaluate(speaks, material, asked, sections=[SECTION])


@pytest.fixture(scope="module")
def evaluation(speaks, settings, sounds, tmp_path_factory) -> Evaluation:
    folder = tmp_path_factory.mktemp("spoken") / "tones"
    material = recordings(folder, sounds, [*HERTZ] * 24, group_column="speaker")
    return measured(speaks, material, settings)


def row(evaluation: Evaluation, words: str) -> Row:
    [found] = [row for row in evaluation.rows if words in row.name]
    return found


def test_the_probe_hears_real_recordings_of_speakers_that_it_never_heard(evaluation) -> None:
    real = row(evaluation, "accuracy, real")
    assert not evaluation.skipped
    assert 0 < real.num_clusters < SPEAKERS
    assert real.num_items == real.num_clusters * 12
    assert real.value == 1
    assert real.baseline == pytest.approx(1 / 3)
    assert real.baseline_name == GUESS
    assert row(evaluation, "through the tokenizer").value > 0.9
    aside = row(evaluation, "not fitted on")
    assert aside.value == 1
    assert aside.num_clusters == SPEAKERS - real.num_clusters


def test_what_an_untrained_model_says_is_no_better_than_a_guess(evaluation) -> None:
    said = row(evaluation, "heard in the sound made")
    assert said.headline
    assert said.num_clusters == len(HERTZ)
    assert said.baseline == pytest.approx(1 / 3)
    assert said.verdict is Verdict.NOT_SEPARATED
    right = [
        lines["asked"] == f"speech: {lines['the probe hears']}"
        for lines in (dict(sample.lines) for sample in evaluation.samples)
    ]
    assert said.value == pytest.approx(np.mean(right))


def test_words_that_are_written_count_beside_the_most_frequent_ones(evaluation) -> None:
    written = row(evaluation, "written right")
    assert written.value == 0  # of an untrained model
    assert written.baseline_name == MAJORITY
    assert written.baseline == pytest.approx(1 / 3)
    assert written.verdict is Verdict.WORSE


def test_made_and_true_sounds_stand_beside_each_other(evaluation) -> None:
    for sample in evaluation.samples:
        assert [panel.label for panel in sample.panels] == ["made", "truth, decoded", "truth"]
        assert all(isinstance(panel, SoundPanel) for panel in sample.panels)
        assert {panel.sound.rate for panel in sample.panels} == {RATE}
        made, decoded, truth = (panel.sound.samples_CT for panel in sample.panels)
        assert made.shape == decoded.shape == (1, 2080)
        assert truth.shape == (1, 2080)
        assert truth[0, 1790:1800].any()
        assert not truth[0, 1800:].any()  # silence, as the model reads it


def test_words_that_are_no_classes_are_shown_and_the_reason_is_told(
    speaks, settings, sounds, tmp_path
) -> None:
    words = [f"tone number {number}" for number in range(24)]
    found = measured(speaks, recordings(tmp_path / "tones", sounds, words), settings)
    assert "recur" in found.skipped[SECTION]
    assert not found.rows
    assert found.samples
    assert all(len(sample.lines) == 1 for sample in found.samples)


def test_words_of_no_training_recording_are_left_out_and_counted(
    speaks, settings, sounds, tmp_path
) -> None:
    words = [*HERTZ] * 8
    material = recordings(tmp_path / "tones", sounds, words, group_column="speaker")
    [source] = material.held_out.values()
    whole = tmp_path / "tones/metadata.jsonl"
    last = source[len(source) - 1].spans[1].data.name
    whole.write_text(whole.read_text().replace(f'{last}", "text": "', f'{last}", "text": "un'))
    found = measured(speaks, reopened(tmp_path / "tones", group_column="speaker"), settings)
    count = len(source) // 2
    assert f"{SECTION}, 1 of {count}" in found.skipped
    counts = {row.num_items for row in found.rows if "not fitted on" not in row.name}
    assert counts == {count - 1}


def test_what_cannot_be_made_is_told(speaks, settings, sounds, tmp_path, folder_material) -> None:
    assert measured(speaks, folder_material, settings).skipped == {SECTION: NO_SOUNDS}
    own = speaks.tokenizers["sound"]
    encoder = Tokenizer(own.name, own.encoder, None, own.statistics)
    mute = replace(speaks, tokenizers=StreamTokenizers({"sound": encoder}))
    material = recordings(tmp_path / "tones", sounds, [*HERTZ] * 8)
    assert "no decoder" in measured(mute, material, settings).skipped[SECTION]


def test_a_model_without_sounds_says_nothing_of_them(pretrained, folder_material, settings) -> None:
    assert not measured(pretrained, folder_material, settings).skipped
