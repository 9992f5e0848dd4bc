import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.poses import Pose, compose, relative_pose, wrap_degrees


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


@given(
    yaw=st.integers(-7, 7).map(lambda quarter: 90.0 * quarter),
    tiny=st.sampled_from([0.0, 1e-17, -1e-17, -0.0, 1e-14, -1e-14]),
    turns=st.integers(-3, 3),
)
def test_equal_turns_are_equal_numbers(yaw: float, tiny: float, turns: int):
    """Half a turn is +180 and a whole one 0, whichever way they come about."""
    turned = relative_pose(Pose(0, 0, 0.0), Pose(0, 0, yaw + tiny + 360.0 * turns))[2]
    assert -180 < turned <= 180
    assert -180 < wrap_degrees(yaw + tiny + 360.0 * turns) <= 180
    assert 0 <= compose(Pose(0, 0, yaw), (0, 0, tiny + 360.0 * turns)).yaw_degrees < 360
    assert wrap_degrees(yaw + 360.0 * turns) == wrap_degrees(yaw)


@given(st.floats(-180, 180, exclude_min=True))
def test_a_turn_that_is_wrapped_already_stays_as_it_is(angle: float):
    assert wrap_degrees(angle) == angle
