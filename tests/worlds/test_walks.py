import math
from itertools import pairwise

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.poses import compose, relative_pose
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map
from chiasm.worlds.walks import draw_views, draw_walk
from chiasm.worlds.world import World


def test_the_steps_of_a_walk_compose_to_its_end(train: World):
    for walk in train.walks:
        pose = train.views[walk[0]].pose
        for before, after in pairwise(walk):
            told = ActionFormat().write(train.step(before, after).action)
            pose = compose(pose, ActionFormat().read(told).step)
        end = train.views[walk[-1]].pose
        # Text rounds to a centimetre and a degree a step.
        assert math.hypot(pose.x_metres - end.x_metres, pose.y_metres - end.y_metres) < 0.2
        assert abs((pose.yaw_degrees - end.yaw_degrees + 180) % 360 - 180) < 0.5 * len(walk)


@pytest.mark.parametrize("seed", range(5))
def test_every_step_turns_or_moves_enough_and_stays_free(seed: int):
    world_map = generate_map(0, seed)
    walk = draw_walk(world_map, 20, np.random.default_rng(seed))
    for first, second in pairwise(walk):
        dx, dy, dyaw = relative_pose(first, second)
        assert abs(dyaw) >= 19.9 or math.hypot(dx, dy) >= 0.75
        assert abs(dyaw) <= 45.1
        assert math.hypot(dx, dy) <= 1.55
        assert world_map.is_free(
            second.x_metres * UNITS_PER_METRE, second.y_metres * UNITS_PER_METRE, margin=38
        )


def test_draws_depend_on_the_generator_alone():
    world_map = generate_map(0, 3)
    assert draw_walk(world_map, 8, np.random.default_rng(5)) == draw_walk(
        world_map, 8, np.random.default_rng(5)
    )
    assert draw_views(world_map, 4, np.random.default_rng(5)) != draw_views(
        world_map, 4, np.random.default_rng(6)
    )
