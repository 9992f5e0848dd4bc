"""Held-out instructions, and what a random model makes of them in the engine."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run
from chiasm.evaluation.spoken import SpokenWalks
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.tracker import Tracker


@pytest.fixture(scope="module")
def run(pretrained, settings):
    asked = settings.model_copy(update={"instructions": 12, "steps": 1})
    return Run(replace(pretrained, context_positions=600), Material({}, {}), asked)


@pytest.fixture(scope="module")
def spoken(run, spoken_source) -> SpokenWalks:
    return SpokenWalks.of(run, spoken_source)


def test_other_sentences_ask_for_something_else(spoken):
    said = {item.walk.words: item for item in spoken.items}
    for item, words in zip(spoken.items, spoken.other_words(), strict=True):
        assert said[words].walk.meaning != item.walk.meaning
        assert any(
            each.walk.place != item.walk.place and each.walk.words == words for each in spoken.items
        )


def test_one_map_has_no_other_sentences(run, spoken_source, spoken):
    items = spoken.items
    one = [item for item in items if item.walk.place == items[0].walk.place]
    alone = SpokenWalks(run, spoken_source, one)
    assert alone.other_words() == alone.words == [item.walk.words for item in one]


def test_items_are_the_experts_walks_and_the_random_walker_mostly_fails(spoken_source, spoken):
    places = [item.walk.place for item in spoken.items]
    assert places == sorted(places)
    for item in spoken.items:
        start, end = item.walk.poses[0], item.walk.poses[-1]
        assert len(item.frames) == len(item.walk.poses) == item.num_steps + 1
        assert spoken_source.is_done(item.index, end)
        assert not spoken_source.is_done(item.index, start)
        assert item.script("go")[-1] == f"action: go [{item.num_steps}/{item.num_steps}]"
    shares = spoken.wandered()
    assert np.array_equal(shares, spoken.wandered())
    assert 0 <= shares.mean() < 0.4


@pytest.mark.slow
def test_walks_are_those_of_the_views_and_of_the_loop_in_the_order_of_the_items(
    run, spoken_source, spoken
):
    true = [item.frames[1:] for item in spoken.items]
    imagined = spoken.imagine(spoken.words)
    with Oracle(spoken_source.camera(), run.pretrained.actions, run.image_shape) as oracle:
        tracker = Tracker(run.pretrained, oracle, spoken_source.steps_from)
        [shown, followed], [acted] = spoken.follow(tracker, [true, imagined], [spoken.words])
        last = spoken.items[-1].walk
        seen = [oracle.look(last.place, [pose])[0] for pose in acted[-1].poses[1:]]
    assert spoken.are_done(shown).tolist() == [1.0] * len(spoken.items)
    for views, open_loop, closed, item in zip(imagined, followed, acted, spoken.items, strict=True):
        assert np.array_equal(open_loop.imagined, views)
        # The first step of both is imagined from the same view, sentence and noise.
        assert np.abs(closed.imagined[0].astype(int) - views[0]).max() <= 1
        assert closed.poses[:2] == open_loop.poses[:2]
        assert len(closed.poses) == item.num_steps + 1
    assert np.abs(np.stack(seen).astype(int) - acted[-1].seen).mean() < 2  # water moves
