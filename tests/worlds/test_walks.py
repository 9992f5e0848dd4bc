import math
from itertools import pairwise

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.worlds import Pose, World, action_text, compose, parse_action, relative_pose
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map
from chiasm.worlds.walks import draw_views, draw_walk


def random_pose(rng: np.random.Generator) -> Pose:
    x, y, yaw = rng.uniform([-50, -50, 0], [50, 50, 360])
    return Pose(float(x), float(y), float(yaw))


def test_relative_pose_is_in_the_walkers_frame():
    north = Pose(2.0, 3.0, 90.0)
    assert relative_pose(north, Pose(2.0, 4.0, 90.0)) == pytest.approx((1.0, 0.0, 0.0))  # ahead
    assert relative_pose(north, Pose(1.0, 3.0, 120.0)) == pytest.approx((0.0, 1.0, 30.0))  # left
    assert relative_pose(Pose(0, 0, 350.0), Pose(0, 0, 10.0))[2] == pytest.approx(20.0)


def test_compose_inverts_relative_pose():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = random_pose(rng), random_pose(rng)
        back = compose(first, relative_pose(first, second))
        assert (back.x_metres, back.y_metres) == pytest.approx((second.x_metres, second.y_metres))
        assert math.cos(math.radians(back.yaw_degrees - second.yaw_degrees)) == pytest.approx(1.0)


def test_the_steps_of_a_walk_compose_to_its_end(train: World):
    for walk in train.walks:
        pose = train.views[walk[0]].pose
        for before, after in pairwise(walk):
            pose = compose(pose, parse_action(train.step(before, after).action))
        end = train.views[walk[-1]].pose
        # Text rounds to a centimetre and a degree a step.
        assert math.hypot(pose.x_metres - end.x_metres, pose.y_metres - end.y_metres) < 0.2
        assert abs((pose.yaw_degrees - end.yaw_degrees + 180) % 360 - 180) < 0.5 * len(walk)


def test_action_text_round_trip():
    rng = np.random.default_rng(1)
    for _ in range(200):
        first, second = random_pose(rng), random_pose(rng)
        text = action_text(first, second)
        assert parse_action(text) == pytest.approx(relative_pose(first, second), abs=0.51)
        assert parse_action(text)[:2] == pytest.approx(relative_pose(first, second)[:2], abs=0.006)


def test_action_text_has_one_spelling_of_zero():
    pose = Pose(1.0, 1.0, 123.0)
    text = "action: dx=+0.00 dy=+0.00 dyaw=+0"
    assert action_text(pose, pose) == text
    assert action_text(pose, Pose(1.0 + 1e-9, 1.0 - 1e-9, 122.9999)) == text


@pytest.mark.parametrize("text", ["", "action: dx=1 dy=2", "walk ahead"])
def test_an_unreadable_action_is_a_users_mistake(text: str):
    with pytest.raises(UserError, match="cannot be read"):
        parse_action(text)


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
