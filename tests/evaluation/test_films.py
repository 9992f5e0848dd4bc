from dataclasses import replace

import numpy as np

from chiasm.documents import Image, Sound
from chiasm.evaluation.clips import cut_clips
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.films import (
    LAST,
    LAST_SOUND,
    MEAN,
    MEAN_SOUND,
    RAW_LAST,
    SHUFFLED,
    ImaginedFilms,
)
from chiasm.evaluation.run import Run
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer


def test_films_are_continued_beside_what_stands_still_and_other_captions(
    pretrained, filmed, settings
):
    found = ImaginedFilms().measure(Run(pretrained, filmed(frames_per_second=5.0), settings))
    beside = {row.baseline_name for row in found.rows}
    assert beside == {LAST, RAW_LAST, MEAN, SHUFFLED, None}
    assert {(point.measure, point.frames_ahead) for point in found.points} == {
        (measure, ahead)
        for measure in ("PSNR", "SSIM", "feature distance", "perceptual distance")
        for ahead in (1, 2, 3)
    }, "the horizons of the settings, and the whole clip"
    assert {(row.num_items, row.num_clusters) for row in found.rows} == {(6, 3)}
    assert {row.baseline_name for row in found.rows if row.headline} == {LAST, SHUFFLED}
    assert all(np.isfinite(row.value) for row in found.rows)
    assert not found.skipped
    sample = found.samples[0]
    assert [panel.label for panel in sample.panels] == [
        *("truth; the first 2 are given", LAST, "imagined", "drawn from the caption alone")
    ]
    assert len({panel.pixels.shape for panel in sample.panels}) == 1, "frames stand in columns"
    assert sample.lines[0][1].startswith("film number")


def test_each_frame_is_held_against_the_true_one_of_its_time(pretrained, filmed, settings):
    """A film that stands still stays its last given frame, and one that moves leaves it."""

    def stays(still):
        run = Run(pretrained, filmed("video", still=still, frames_per_second=5.0), settings)
        rows = ImaginedFilms().measure(run).rows
        return [
            row.baseline
            for row in rows
            if row.baseline_name == RAW_LAST and row.name.startswith("PSNR")
        ]

    assert stays(still=True) == [100, 100, 100]
    assert all(psnr < 40 for psnr in stays(still=False))


def test_what_is_heard_between_frames_is_imagined_too(hearing_model, filmed, settings):
    material = filmed("video", sound=True, frames_per_second=10.0)
    run = Run(hearing_model, material, settings)
    clips, _ = cut_clips(run, material.held_out["films"])
    assert [type(item) for item in clips.items[0]] == [Image, Sound] * 5
    found = ImaginedFilms().measure(run)
    of_sounds = [row for row in found.rows if row.unit == "dB" and row.better == "lower"]
    assert [row.baseline_name for row in of_sounds] == [
        *(LAST_SOUND, MEAN_SOUND, None, LAST_SOUND, MEAN_SOUND, LAST_SOUND, MEAN_SOUND)
    ]
    assert {row.num_clusters for row in of_sounds} == {3}
    then, imagined = found.samples[0].panels[-2:]
    assert then.sound.samples_CT.shape == imagined.sound.samples_CT.shape == (2, 3 * 800)
    true = np.concatenate([sound.samples(8000, 2) for sound in clips.sounds(0)[2:]], axis=1)
    assert np.array_equal(then.sound.samples_CT, true)
    sounds = hearing_model.tokenizers["sound"]
    encoder = Tokenizer(sounds.name, sounds.encoder, None, sounds.statistics)
    mute = StreamTokenizers({**hearing_model.tokenizers, "sound": encoder})
    found = ImaginedFilms().measure(
        Run(replace(hearing_model, tokenizers=mute), material, settings)
    )
    assert "no decoder of sound" in found.skipped["clip"]


def test_clips_without_a_frame_behind_the_given_ones_are_skipped_with_the_reason(
    pretrained, filmed, settings
):
    far = settings.model_copy(update={"history_frames": 5})
    run = Run(pretrained, filmed("video", frames_per_second=5.0), far)
    found = ImaginedFilms().measure(run)
    assert not found.rows
    assert "none behind evaluation.history_frames = 5; lower it" in found.skipped["clip"]
    none = settings.model_copy(update={"clips": 0})
    assert not ImaginedFilms().measure(Run(pretrained, run.material, none)).rows


def test_captions_that_say_the_same_are_not_shuffled(pretrained, filmed, settings):
    material = filmed(captions="a film", frames_per_second=5.0)
    found = ImaginedFilms().measure(Run(pretrained, material, settings))
    assert SHUFFLED not in {row.baseline_name for row in found.rows}


def test_a_run_without_films_says_nothing_of_them(pretrained, folder_material, settings):
    found = evaluate(pretrained, folder_material, settings, sections={"clip"})
    assert (found.rows, found.skipped) == ((), {})
