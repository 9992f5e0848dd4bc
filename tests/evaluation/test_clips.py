import json
from dataclasses import replace

import numpy as np
import pytest

from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.data.video_files import VideoSettings
from chiasm.documents import Image, Sound, Text
from chiasm.evaluation.clips import LAST, MEAN, RAW_LAST, SHUFFLED, ImaginedClips, _cut, _imagine
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run
from chiasm.inference.tasks import generate_items
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer


@pytest.fixture
def filmed(films, tmp_path):
    """Both sides of six films of two clips each, three of them held out."""

    def opened(task="captioned_video", still=False, captions="film number {}", **more):
        for side, numbers in (("train", (0, 1, 2)), ("other", (3, 4, 5))):
            folder, lines = tmp_path / side, []
            folder.mkdir(exist_ok=True)
            for number in numbers:
                first = 100 * number
                shown = [first] * 60 if still else range(first, first + 60)
                frames, path = map(films._frame, shown), folder / f"{number}.mkv"
                films.write(path, frames, codec="ffv1", sound="sound" in more)
                lines.append({"video": path.name, "caption": captions.format(number)})
            (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
        paths = {"path": str(tmp_path / "train"), "held_out_path": str(tmp_path / "other")}
        settings = VideoSettings(task=task, frames=5, **paths, **more)
        found = open_sources({"films": settings}, Opening(160))["films"]
        return Material({"films": found.train}, {"films": found.held_out})

    return opened


def test_films_are_continued_beside_what_stands_still_and_other_captions(
    pretrained, filmed, settings
):
    found = ImaginedClips().measure(Run(pretrained, filmed(frames_per_second=5.0), settings))
    beside = {row.baseline_name for row in found.rows}
    assert beside == {LAST, RAW_LAST, MEAN, SHUFFLED, None}
    assert {(point.measure, point.frames_ahead) for point in found.points} == {
        (measure, ahead) for measure in ("PSNR", "SSIM", "feature distance") for ahead in (1, 2, 3)
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
        rows = ImaginedClips().measure(run).rows
        return [
            row.baseline
            for row in rows
            if row.baseline_name == RAW_LAST and row.name.startswith("PSNR")
        ]

    assert stays(still=True) == [100, 100, 100]
    assert all(psnr < 40 for psnr in stays(still=False))


def test_frames_are_imagined_behind_the_beginning_of_a_training_document(
    pretrained, filmed, settings
):
    material = filmed(frames_per_second=5.0)
    run = Run(pretrained, material, settings)
    source = material.held_out["films"]
    document = next(source[n] for n in range(len(source)) if isinstance(source[n].spans[0], Text))
    clips = _cut(run, source)
    place = clips.captions.index(document.text)
    own = clips.select([place])
    assert [item.target for item in own.items[0]] == [item.target for item in document.items]
    sampling = run.settings.imagining
    imagined = _imagine(run, own, own.captions, 2, sampling)
    assert imagined.shape == (1, 3, 32, 32, 3)
    prompt = document.spans[:3]
    seed = settings.seed
    [first] = generate_items(run.sampler, [prompt], "image", settings=sampling, seed=seed)
    assert np.array_equal(imagined[0, 0], first.pixels())
    longer = [(*prompt, Image(first.data, target=True))]
    [second] = generate_items(run.sampler, longer, "image", settings=sampling, seed=seed + 1)
    assert np.array_equal(imagined[0, 1], second.pixels())


def test_what_is_heard_between_frames_is_imagined_too(hearing_model, filmed, settings):
    material = filmed("video", sound=True, frames_per_second=10.0)
    run = Run(hearing_model, material, settings)
    clips = _cut(run, material.held_out["films"])
    assert [type(item) for item in clips.items[0]] == [Image, Sound] * 5
    found = ImaginedClips().measure(run)
    assert {row.baseline_name for row in found.rows} == {LAST, RAW_LAST, MEAN, None}
    sounds = hearing_model.tokenizers["sound"]
    encoder = Tokenizer(sounds.name, sounds.encoder, None, sounds.statistics)
    mute = StreamTokenizers({**hearing_model.tokenizers, "sound": encoder})
    found = ImaginedClips().measure(
        Run(replace(hearing_model, tokenizers=mute), material, settings)
    )
    assert "no decoder of sound" in found.skipped["clip"]


def test_clips_without_a_frame_behind_the_given_ones_are_skipped_with_the_reason(
    pretrained, filmed, settings
):
    far = settings.model_copy(update={"history_frames": 5})
    run = Run(pretrained, filmed("video", frames_per_second=5.0), far)
    found = ImaginedClips().measure(run)
    assert not found.rows
    assert "none behind evaluation.history_frames = 5; lower it" in found.skipped["clip"]
    none = settings.model_copy(update={"clips": 0})
    assert not ImaginedClips().measure(Run(pretrained, run.material, none)).rows


def test_captions_that_say_the_same_are_not_shuffled(pretrained, filmed, settings):
    material = filmed(captions="a film", frames_per_second=5.0)
    found = ImaginedClips().measure(Run(pretrained, material, settings))
    assert SHUFFLED not in {row.baseline_name for row in found.rows}


def test_a_run_without_films_says_nothing_of_them(pretrained, folder_material, settings):
    found = evaluate(pretrained, folder_material, settings, sections={"clip"})
    assert (found.rows, found.skipped) == ((), {})
