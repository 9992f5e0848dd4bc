import numpy as np

from chiasm.evaluation.next_views import _others, _steps


def test_moments_follow_each_other_in_one_walk(material):
    world = material.held_out["action_video"].world
    steps = _steps(world, 12, history_frames=2)
    numbers = {frame.tobytes(): n for n, frame in enumerate(np.asarray(world.frames))}
    for history, actions, truth in zip(steps.history, steps.actions, steps.truth, strict=True):
        last = numbers[truth.tobytes()]
        frames = [numbers[frame.tobytes()] for frame in history]
        assert any({*frames, last} <= set(walk) for walk in world.walks)
        assert len(actions) == len(history) == 2
        assert actions[-1] == world.step(last - 1, last).action


def test_shuffled_actions_come_from_other_maps(material):
    steps = _steps(material.held_out["action_video"].world, 12, history_frames=2)
    others = _others(len(steps.actions))
    assert sorted(others) == list(range(12))
    assert (steps.clusters[others] != steps.clusters).all()
