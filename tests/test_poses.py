import math

import numpy as np
import pytest

from chiasm.poses import Pose, compose, heading_radians, relative_pose


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


def quaternion(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    half = math.radians(degrees) / 2
    return np.append(math.sin(half) * np.array(axis) / np.linalg.norm(axis), math.cos(half))


def product(a: np.ndarray, b: np.ndarray) -> list[float]:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return [*vector, a[3] * b[3] - a[:3] @ b[:3]]


@pytest.mark.parametrize("yaw", [-170.0, -90.0, 0.0, 30.0, 180.0])
@pytest.mark.parametrize("pitch", [-60.0, 0.0, 45.0])
def test_a_cameras_heading_is_that_of_its_view(yaw: float, pitch: float):
    """An upright camera that looks along x, tilted about its x axis, turned about the vertical."""
    upright = np.array([-0.5, 0.5, -0.5, 0.5])  # its z axis to the world's x, its y axis down
    tilted = product(upright, quaternion((1, 0, 0), pitch))
    turned = product(quaternion((0, 0, 1), yaw), np.array(tilted))
    error = math.degrees(heading_radians(turned)) - yaw
    assert (error + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [([0, 0, 0, 1], "straight up"), ([0, 0, 0, 0], "length 1"), ([1, 1, 1, 1], "length 1")],
)
def test_orientations_without_a_heading_are_refused(given: list[float], message: str):
    with pytest.raises(ValueError, match=message):
        heading_radians(given)
