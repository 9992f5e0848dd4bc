import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from chiasm.documents import Image, Split, Text
from chiasm.poses import relative_pose
from chiasm.worlds.instructions.goals import HELD_OUT_GOALS, KINDS_OF_GOAL, reached
from chiasm.worlds.instructions.rendered import InstructedWalks
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.source import InstructionSource
from chiasm.worlds.instructions.walks import draw_walks
from chiasm.worlds.maps import generate_map
from chiasm.worlds.world import World

pytestmark = pytest.mark.slow


def key(document) -> list:
    return [
        span.text if isinstance(span, Text) else (span.target, span.pixels().tobytes())
        for span in document.spans
    ]


def test_a_document_is_a_function_of_seed_and_index(train_walks: InstructedWalks):
    source, again = InstructionSource(train_walks, 3), InstructionSource(train_walks, 3)
    later = [key(again[index]) for index in (7, 5)]
    assert [key(source[index]) for index in (5, 7)] == later[::-1]
    other = InstructionSource(train_walks, 4)
    assert any(key(source[i]) != key(other[i]) for i in range(10))
    assert len(source) == 16 * len(train_walks)
    for index in (-1, len(source)):
        with pytest.raises(IndexError):
            source[index]


def test_words_with_progress_stand_before_each_next_view(train_walks: InstructedWalks):
    source = InstructionSource(train_walks)
    for index in range(100):
        walk, words = source.walk_of(index), source.instruction_of(index).words
        images, texts = source[index].spans[::2], source[index].spans[1::2]
        assert [image.target for image in images] == [False] + [True] * walk.num_steps
        for image, frame in zip(images, walk.frames, strict=True):
            assert isinstance(image, Image)
            np.testing.assert_array_equal(image.pixels(), train_walks.frames[frame])
        for number, text in enumerate(texts, start=1):
            assert text.text == f"action: {words} [{number}/{walk.num_steps}]"


def test_a_document_may_show_a_stretch_of_the_way(train_walks: InstructedWalks):
    settings = train_walks.settings.model_copy(update={"views": 3})
    short = InstructedWalks(
        train_walks.folder, train_walks.world_settings, settings, train_walks.split
    )
    source, whole = InstructionSource(short), InstructionSource(train_walks)
    begun = set()
    for index in range(200):
        walk, every, shown = source.walk_of(index), key(whole[index]), key(source[index])
        assert len(shown[::2]) == min(3, walk.num_steps + 1)
        first = every.index(shown[1]) - 1  # the marks say how far along the way it is
        assert shown[1:] == every[first + 1 : first + len(shown)]
        assert shown[0] == (False, every[first][1])
        begun.add((first // 2, walk.num_steps))
    assert {first for first, of in begun if of == 5} == {0, 1, 2, 3}
    assert any("[8/8]" in document.text for document in source.longest_documents())


def test_it_says_which_parts_its_frames_play(train_walks: InstructedWalks):
    source = InstructionSource(train_walks)
    played = {image.target for index in range(5) for image in source[index].images}
    assert source.shown_as == played


def test_a_walk_is_told_in_several_ways(train_walks: InstructedWalks):
    source = InstructionSource(train_walks)
    count = len(train_walks)
    told = {source.instruction_of(number).words for number in range(3, len(source), count)}
    assert len(told) > 3
    assert len({source.walk_of(index).frames[0] for index in range(count)}) == count


def test_poses_that_the_engine_took_reach_the_goal(
    train_walks: InstructedWalks, held_out_walks: InstructedWalks
):
    for walks in (train_walks, held_out_walks):
        for walk in walks.walks:
            poses = [walks.views[frame].pose for frame in walk.frames]
            world_map = generate_map(0, walk.map_seed)
            assert reached(world_map, walk.goal, poses[0], poses[-1])
            assert not reached(world_map, walk.goal, poses[0], poses[0])
            for before, after in pairwise(poses):
                dx, dy, dyaw = relative_pose(before, after)
                assert abs(dyaw) < 40.1
                assert abs(dx) < 1.05  # the engine may stand a unit beside
                assert abs(dy) < 0.07


def test_splits_share_no_map_and_only_one_has_what_is_new(
    train_walks: InstructedWalks, held_out_walks: InstructedWalks
):
    maps = [{walk.map_seed for walk in walks.walks} for walks in (train_walks, held_out_walks)]
    assert not maps[0] & maps[1]
    assert not any(walk.goal in HELD_OUT_GOALS for walk in train_walks.walks)
    source = InstructionSource(held_out_walks)
    novelties = Counter(source.instruction_of(index).novelty for index in range(len(source)))
    assert all(novelties[name] > 0.1 * len(source) for name in ("goal", "verb", "phrasing"))
    assert novelties["none"] > 0.25 * len(source)


def test_kinds_of_goals_are_balanced(train_walks: InstructedWalks):
    kinds = Counter(walk.goal.kind for walk in train_walks.walks)
    assert set(kinds) == set(KINDS_OF_GOAL)
    assert max(kinds.values()) < 2.5 * min(kinds.values())


def test_lengths_are_as_set():
    for steps in ((1, 5), (4, 6)):
        settings = InstructionSettings(steps=steps, walks_per_map=10)  # one of each kind
        walks = draw_walks(generate_map(0, 1), settings, 0)
        assert all(steps[0] <= len(walk.poses) - 1 <= steps[1] for walk in walks)


def test_another_process_opens_the_same_files(train_walks: InstructedWalks, train: World):
    pickled = pickle.dumps(train_walks)
    assert len(pickled) < 10_000
    assert pickle.loads(pickled).walks == train_walks.walks
    assert train_walks.split is Split.TRAIN
