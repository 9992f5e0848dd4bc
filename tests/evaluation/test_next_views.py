from itertools import pairwise

import numpy as np

from chiasm.data import ImageShape
from chiasm.evaluation.next_views import _others, _steps

SHAPE = ImageShape(32, 32, 2, 2)


def test_moments_follow_each_other_in_one_walk(material):
    source = material.held_out["action_video"]
    world = source.world
    steps = _steps(source, 12, 2, SHAPE)
    moments = [walk[end - 2 : end + 1] for walk in world.walks for end in range(2, len(walk))]
    for history, actions, truth in zip(steps.history, steps.actions, steps.truth, strict=True):
        # A walker who turns back sees the same picture twice, so pictures alone do not tell when.
        assert any(
            np.array_equal(world.frames[moment], np.stack([*history, truth]))
            and actions == [source.action(a, b) for a, b in pairwise(moment)]
            for moment in moments
        )


def test_shuffled_actions_come_from_other_maps(material):
    steps = _steps(material.held_out["action_video"], 12, 2, SHAPE)
    others = _others(len(steps.actions))
    assert sorted(others) == list(range(12))
    assert (steps.clusters[others] != steps.clusters).all()
