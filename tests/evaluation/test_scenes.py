from itertools import pairwise

import numpy as np
import pytest

from chiasm.evaluation.material import NothingToMeasure
from chiasm.evaluation.run import Run
from chiasm.evaluation.scenes import pick_scenes
from chiasm.worldmodel.oracle import PlacedContext
from chiasm.worlds.maps import generate_map
from chiasm.worlds.sight import in_sight


@pytest.fixture
def run(pretrained, material, settings) -> Run:
    return Run(pretrained, material, settings)


def test_a_scene_is_a_stretch_of_one_held_out_walk(run, material):
    source = material.held_out["action_video"]
    world = source.world
    scenes = pick_scenes(run, source, 10, 3)
    assert len(scenes) == 10
    assert len({scene.place for scene in scenes}) == world.settings.held_out_maps
    for scene in scenes:
        walk = next(walk for walk in world.walks if scene.frame in walk)
        start = walk.index(scene.frame)
        frames = walk[start - 1 : start + 4]
        assert np.array_equal(np.stack(scene.context.views), world.frames[frames[:2]])
        assert scene.context.actions == tuple(source.action(a, b) for a, b in pairwise(frames[:2]))
        assert np.array_equal(scene.goal_HW3, world.frames[frames[-1]])
        assert [scene.start, *scene.truth] == [world.views[frame].pose for frame in frames[1:]]
        assert isinstance(scene.context, PlacedContext)
        assert (scene.context.place, scene.context.pose) == (scene.place, scene.start)
        world_map = generate_map(world.settings.seed, scene.place)
        assert scene.goal_in_sight == in_sight(world_map, scene.start, scene.truth[-1])


def test_both_kinds_of_goals_occur(run, material):
    scenes = pick_scenes(run, material.held_out["action_video"], 60, 4)
    assert {scene.goal_in_sight for scene in scenes} == {True, False}


def test_walks_that_are_too_short_are_told_of(run, material):
    with pytest.raises(NothingToMeasure, match=r"steps = 9 need walks of 11 frames; .* 10"):
        pick_scenes(run, material.held_out["action_video"], 4, 9)
