import numpy as np
import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.lerobot_export import export_walks, set_settings
from chiasm.data.robots import LeRobotSettings
from chiasm.data.source import Opening
from chiasm.documents import Image, Text
from chiasm.worlds.settings import INVERSE, TASKS, WorldSettings
from chiasm.worlds.sources import WorldSource
from chiasm.worlds.world import World


def document_key(document) -> list:
    return [
        span.text if isinstance(span, Text) else (span.target, span.pixels().tobytes())
        for span in document.spans
    ]


@pytest.mark.parametrize("task", [*TASKS, INVERSE])
def test_a_document_is_a_function_of_seed_and_index(train: World, task: str):
    source, again = WorldSource(train, task, seed=3), WorldSource(train, task, seed=3)
    later = [document_key(again[index]) for index in (7, 5)]
    assert [document_key(source[index]) for index in (5, 7)] == later[::-1]
    other = WorldSource(train, task, seed=4)
    assert any(document_key(source[i]) != document_key(other[i]) for i in range(10))
    assert source.name == task


@pytest.mark.parametrize("task", [*TASKS, INVERSE])
def test_indices_end_where_the_length_says(train: World, task: str):
    source = WorldSource(train, task)
    assert source[len(source) - 1].spans
    for index in (-1, len(source)):
        with pytest.raises(IndexError):
            source[index]


@pytest.mark.slow
def test_every_task_is_named_in_words(train: World):
    for index in range(60):
        assert WorldSource(train, "text")[index].text.startswith("story: ")
        context, *asked = WorldSource(train, "vqa")[index].spans
        assert isinstance(context, Image)
        assert not context.target
        prompts, answers = asked[::2], asked[1::2]
        assert len(prompts) == len(answers)
        assert all(a.text.startswith("question: ") for a in prompts)
        assert all(a.text.endswith(" answer:") for a in prompts)
        assert all(a.text.startswith(" ") and a.text.endswith("\n") for a in answers)


def test_inverse_dynamics_ends_with_the_action_between_two_given_views(train: World):
    source = WorldSource(train, INVERSE)
    for index in range(40):
        before, after, told = source[index].spans
        assert not before.target
        assert not after.target
        first = source.frame_of(index)
        walk = next(walk for walk in train.walks if first in walk)
        horizon = ActionFormat().read(told.text).horizon_frames
        assert first + horizon in walk
        assert told.text == source.action(first, first + horizon)
        np.testing.assert_array_equal(before.pixels(), train.frames[first])
        np.testing.assert_array_equal(after.pixels(), train.frames[first + horizon])


def test_half_the_pairs_describe_and_half_draw(train: World):
    source = WorldSource(train, "image_text")
    drawn = 0
    for index in range(200):
        first, second = source[index].spans
        if isinstance(first, Text):
            assert first.text.startswith("picture: ")
            assert second.target
            drawn += 1
        else:
            assert second.text.startswith("caption: ")
            assert not first.target
    assert 70 < drawn < 130


def test_videos_are_all_targets_of_one_walk(train: World):
    source = WorldSource(train, "video")
    for index in range(100):
        title, *frames = source[index].spans
        assert title == Text("video:")
        assert 3 <= len(frames) <= 5
        assert all(frame.target for frame in frames)
        first = source.frame_of(index)
        (walk,) = (walk for walk in train.walks if first in walk)
        for offset, frame in enumerate(frames):
            assert first + offset in walk
            np.testing.assert_array_equal(frame.pixels(), train.frames[first + offset])


def test_actions_stand_between_the_frames_that_they_join(train: World):
    source = WorldSource(train, "action_video")
    for index in range(100):
        spans = source[index].spans
        first = source.frame_of(index)
        images, actions = spans[::2], spans[1::2]
        assert 2 <= len(images) <= 4
        assert [image.target for image in images] == [False] + [True] * (len(images) - 1)
        for offset, action in enumerate(actions):
            step = train.step(first + offset, first + offset + 1)
            assert action.text == ActionFormat().write(step.action)
            ActionFormat().read(action.text)


def test_action_videos_may_turn_back_over_the_same_frames(train: World):
    turning = {"action_video_frames": (2, 6), "returns": 1.0}
    world = World(train.folder, train.settings.model_copy(update=turning), train.split)
    source, lengths = WorldSource(world, "action_video"), set()
    for index in range(100):
        spans, first = source[index].spans, source.frame_of(index)
        images, actions = spans[::2], spans[1::2]
        steps = len(actions) // 2
        frames = [*range(first, first + steps + 1), *range(first + steps - 1, first - 1, -1)]
        assert [image.target for image in images] == [False] + [True] * (len(images) - 1)
        for image, frame in zip(images, frames, strict=True):
            np.testing.assert_array_equal(image.pixels(), world.frames[frame])
        for text, before, after in zip(actions, frames, frames[1:], strict=False):
            poses = world.views[before].pose, world.views[after].pose
            assert text.text == ActionFormat().write(Action.between(*poses))
        lengths.add(len(images))
    assert lengths == {3, 5}


def test_a_share_of_action_videos_turns_back_and_the_others_stay_as_they_were(train: World):
    frames = {"action_video_frames": (2, 6)}

    def videos(**changes):
        settings = train.settings.model_copy(update=frames | changes)
        return WorldSource(World(train.folder, settings, train.split), "action_video")

    plain, some, inverse = videos(), videos(returns=0.3), videos(returns=0.3)
    back = 0
    for index in range(200):
        shown = [image.pixels().tobytes() for image in some[index].images]
        back += shown[-1] == shown[0]
    assert 30 < back < 90
    assert document_key(WorldSource(plain.world, INVERSE)[3]) == document_key(
        WorldSource(inverse.world, INVERSE)[3]
    )
    assert document_key(videos(returns=0.0)[5]) == document_key(plain[5])


def test_ways_back_need_room():
    with pytest.raises(ValueError, match="no room for a way there and back"):
        WorldSettings(action_video_frames=(2, 2), returns=0.5)


def test_steps_are_written_in_the_runs_format(train: World):
    keys = WorldSource(train, "action_video", actions=ActionFormat(style="keys"))
    words = {span.text for number in range(50) for span in keys[number].spans[1::2]}
    assert words <= {f"action: {key}" for key in ("W", "S", "A", "D", "WA", "WD", "SA", "SD", "-")}
    assert len(words) > 3


def test_an_action_says_how_far_ahead_its_picture_lies(train: World):
    wide = {"horizon_frames": (2, 4), "action_video_frames": (2, 3)}
    world = World(train.folder, train.settings.model_copy(update=wide), train.split)
    source = WorldSource(world, "action_video")
    ahead, lengths = set(), set()
    for index in range(len(world)):
        before, spans = source.frame_of(index), source[index].spans
        walk = next(walk for walk in world.walks if before in walk)
        for text, image in zip(spans[1::2], spans[2::2], strict=True):
            after = before + ActionFormat().read(text.text).horizon_frames
            assert after in walk
            np.testing.assert_array_equal(image.pixels(), world.frames[after])
            action = Action.between(world.views[before].pose, world.views[after].pose)
            assert text.text == f"{ActionFormat().write(action)} rel_t=+{after - before}"
            ahead.add(after - before)
            before = after
        lengths.add(len(spans[::2]))
    assert ahead == {2, 3, 4}
    assert lengths == {2, 3}
    assert [walk.step for walk in source.walks] == [2] * len(world.walks)
    starts = {source.frame_of(index) for index in range(len(source))}
    assert starts == {frame for walk in world.walks for frame in walk[:-2]}


@pytest.mark.parametrize("horizon", [(0, 1), (3, 2), (1, 6), (-1, 2)])
def test_horizons_without_room_are_refused(horizon: tuple[int, int]):
    with pytest.raises(ValueError, match="horizon_frames"):
        WorldSettings(frames_per_walk=6, horizon_frames=horizon)


def test_every_frame_comes_once_before_any_comes_twice(train: World):
    source = WorldSource(train, "image_text")
    count = len(train.clear_frames)
    assert {source.frame_of(index) for index in range(count)} == set(train.clear_frames)
    assert len({train.views[source.frame_of(i)].map_seed for i in range(30)}) > 5  # scattered


def test_the_questions_of_a_document_are_given(train: World):
    source = WorldSource(train, "vqa")
    for index in range(20):
        asked = [span for question in source.questions_of(index) for span in question.spans]
        assert list(source[index].spans[1:]) == asked


@pytest.mark.slow
def test_stories_of_the_splits_are_of_different_maps(train: World, held_out: World):
    ours, theirs = WorldSource(train, "text"), WorldSource(held_out, "text")
    told = {ours[index].text for index in range(300)}
    assert not any(theirs[index].text in told for index in range(300))


@pytest.mark.parametrize("task", [*TASKS, INVERSE])
def test_what_a_task_shows_its_frames_as(train: World, task: str):
    source = WorldSource(train, task)
    shown = {image.target for index in range(60) for image in source[index].images}
    assert shown == source.shown_as


@pytest.mark.slow
def test_its_walks_are_a_lerobot_set_to_the_bit(train, held_out, tmp_path):
    worlds = {"train": train, "held_out": held_out}
    sides = {name: WorldSource(own, "action_video") for name, own in worlds.items()}
    settings = set_settings(sides, None, 0)
    episodes, frames = export_walks(sides, tmp_path / "set", settings, lambda done, of: None)
    walks = [(source, walk) for source in sides.values() for walk in source.walks]
    assert (episodes, frames) == (len(walks), sum(len(walk) for _, walk in walks))
    step = {"ahead": {"column": "dx_metres"}, "turn": {"column": "dyaw_degrees"}}
    actions = ActionFormat(controls={name: ControlSettings(decimals=4) for name in step})
    back = LeRobotSettings(path=str(tmp_path / "set"), task="action_video", controls=step)
    found = back.open("back", Opening(actions=actions))
    assert found.facts.rows == frames
    for own, read in (("train", found.train), ("held_out", found.held_out)):
        for walk, again in zip(sides[own].walks, read.walks, strict=True):
            assert len(walk) == len(again)
            for a, b in zip(walk, again, strict=True):
                assert np.array_equal(sides[own].picture(a).pixels(), read.picture(b).pixels())
            ahead, _, turn = sides[own].world.step(walk[0], walk[1]).action.step
            given = read.controls(again[0], again[1])
            assert list(given.values()) == pytest.approx([ahead, turn], abs=1e-4)
