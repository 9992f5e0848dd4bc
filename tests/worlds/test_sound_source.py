"""Documents with what is heard: every task, on both splits, against the truth of the world."""

import numpy as np
import pytest

from chiasm.data.source import Opening
from chiasm.documents import Sound, Split, Text
from chiasm.errors import UserError
from chiasm.worlds.captions import sound_caption
from chiasm.worlds.kinds import WorldSourceSettings
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import SOUND_TASKS, WorldSettings
from chiasm.worlds.sound_source import SoundSource
from chiasm.worlds.sounds import PERIOD_SAMPLES, SAMPLES_PER_SECOND
from chiasm.worlds.world import World

pytestmark = pytest.mark.slow

tasks = pytest.mark.parametrize("task", SOUND_TASKS)


def payload(span) -> bytes:
    return span.data.samples_CT.tobytes() if isinstance(span, Sound) else span.pixels().tobytes()


def document_key(document) -> list:
    return [
        span.text if isinstance(span, Text) else (span.stream, span.target, payload(span))
        for span in document.spans
    ]


def as_rendered(sound: Sound) -> np.ndarray:
    """The 16 bits that the engine gave."""
    assert (sound.stream, sound.data.rate) == ("sound", SAMPLES_PER_SECOND)
    samples = sound.samples(SAMPLES_PER_SECOND, channels=2)
    assert samples.shape == (2, PERIOD_SAMPLES)
    return samples * 2.0**15


@tasks
def test_a_document_is_a_function_of_seed_and_index(sounding: World, task: str):
    source, again = SoundSource(sounding, task, seed=3), SoundSource(sounding, task, seed=3)
    later = [document_key(again[index]) for index in (7, 5)]
    assert [document_key(source[index]) for index in (5, 7)] == later[::-1]
    other = SoundSource(sounding, task, seed=4)
    assert any(document_key(source[i]) != document_key(other[i]) for i in range(10))


@tasks
def test_every_document_holds_the_sound_of_its_frame(sounding: World, task: str):
    source = SoundSource(sounding, task)
    for index in range(60):
        first = next(item for item in source[index].items if isinstance(item, Sound))
        expected = sounding.sounds[source.frame_of(index)]
        np.testing.assert_array_equal(as_rendered(first), expected)


@tasks
def test_what_a_task_shows_its_frames_as(sounding: World, task: str):
    source = SoundSource(sounding, task)
    shown = {image.target for index in range(60) for image in source[index].images}
    assert shown == source.shown_as


def test_half_the_sounds_are_told_and_half_are_made(sounding: World):
    source = SoundSource(sounding, "sound_text")
    made = 0
    for index in range(200):
        first, second = source[index].spans
        text, sound = (first, second) if isinstance(first, Text) else (second, first)
        made += sound.target
        assert text.text.startswith("sound: " if sound.target else "caption: ")
        words = text.text.split(": ", 1)[1]
        hearing = sounding.views[source.frame_of(index)].hearing
        assert words in {sound_caption(hearing, np.random.default_rng(n)) for n in range(20)}
    assert 70 < made < 130


def test_a_picture_has_the_sound_of_something_it_shows(sounding: World):
    source = SoundSource(sounding, "image_sound")
    orders = set()
    for index in range(100):
        first, word, second = source[index].spans
        view = sounding.views[source.frame_of(index)]
        names = {one.name for one in view.objects}
        assert any(sound.thing in names for sound in view.hearing.sounds)
        assert not first.target
        assert second.target
        made = "sound:" if isinstance(second, Sound) else "picture:"
        assert word == Text(made)
        orders.add(made)
    assert orders == {"sound:", "picture:"}


def test_an_action_is_followed_by_a_view_and_its_sound(sounding: World):
    source = SoundSource(sounding, "action_video_sound")
    lengths = set()
    for index in range(60):
        first = source.frame_of(index)
        (walk,) = (walk for walk in sounding.walks if first in walk)
        view, sound, *steps = source[index].spans
        assert (view.target, sound.target) == (False, False)
        for offset, (text, *seen) in enumerate(zip(*[iter(steps)] * 3, strict=True), start=1):
            frame = first + offset
            assert frame in walk
            assert text == Text(source.action(frame - 1, frame))
            assert [(span.stream, span.target) for span in seen] == [("image", 1), ("sound", 1)]
            np.testing.assert_array_equal(seen[0].data, sounding.frames[frame])
            np.testing.assert_array_equal(as_rendered(seen[1]), sounding.sounds[frame])
        lengths.add(1 + len(steps) // 3)
    assert lengths == {2, 3, 4}


def test_questions_follow_a_sound(sounding: World):
    source = SoundSource(sounding, "aqa")
    for index in range(60):
        sound, *asked = source[index].spans
        assert not sound.target
        assert asked == [span for each in source.questions_of(index) for span in each.spans]
        assert 1 <= len(source.question_kinds(index)) <= 3
    assert SoundSource(sounding, "sound_text").questions_of(0) == []


@tasks
def test_held_out_documents_are_of_maps_that_training_never_hears(
    sounding: World, sounding_held_out: World, task: str
):
    train, held_out = SoundSource(sounding, task), SoundSource(sounding_held_out, task)
    assert len(held_out) > 0
    ours = {train.cluster_of(index) for index in range(200)}
    assert not ours & {held_out.cluster_of(index) for index in range(len(held_out))}
    known = {sound.tobytes() for sound in sounding.sounds if sound.any()}
    assert not any(sound.tobytes() in known for sound in sounding_held_out.sounds)


def test_a_world_without_sounds_is_told(tmp_path):
    opening = Opening(tables={"world": WorldSettings()}, cache_folder=tmp_path)
    with pytest.raises(UserError, match=r"task = 'aqa' needs .*; set world.sounds = true"):
        WorldSourceSettings(task="aqa").open("heard", opening)


def test_sounds_do_not_depend_on_processes(sounding: World, tmp_path):
    again = render_worlds(sounding.settings, Split.TRAIN, tmp_path, num_processes=1)
    np.testing.assert_array_equal(again.sounds, sounding.sounds)
    assert again.views == sounding.views


def test_the_truth_of_a_sound_is_told_where_it_is_alone(sounding: World):
    source = SoundSource(sounding, "sound_text")
    told = 0
    for frame, view in enumerate(sounding.views):
        facts, sounds = source.heard(frame), view.hearing.sounds
        if len(sounds) != 1 or view.hearing.faint:
            assert facts == {}
            continue
        [sound] = sounds
        expected = {"what": sound.what, "side": sound.side}
        if abs(sound.distance_metres - 3) >= 0.5:
            expected["distance"] = "near" if sound.near else "far"
        assert facts == expected
        told += 1
    assert told > 20


def test_pictures_have_a_sound_only_of_what_they_may(sounding: World):
    """What is silent by its truth is silent, and what is not is heard."""
    for sound, view in zip(sounding.sounds, sounding.views, strict=True):
        if view.hearing.silent:
            assert not sound.any()
        if view.hearing.sounds:
            assert sound.any()
