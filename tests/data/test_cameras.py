import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chiasm.data.cameras import CONVENTIONS, CameraPoses, GroundWalk, PoseSettings, axes_matrix

_PAIR = {letter: number // 2 for number, letter in enumerate("FBLRUD")}
LETTERS = ["".join(way) for way in product("FBLRUD", repeat=3) if len({_PAIR[k] for k in way}) == 3]


def is_right_handed(letters: str) -> bool:
    """By the cross product of what the letters say, x forward, y left, z up being so."""
    unit = {letter: np.eye(3)[n // 2] * (-1) ** n for n, letter in enumerate("FBLRUD")}
    x, y, z = (unit[letter] for letter in letters)
    return bool(np.cross(x, y) @ z > 0)


RIGHT_HANDED = [letters for letters in LETTERS if is_right_handed(letters)]


def test_conventions_are_what_their_libraries_say():
    assert len(RIGHT_HANDED) == 24
    assert set(CONVENTIONS.values()) <= set(RIGHT_HANDED)
    camera = axes_matrix("opencv")  # z ahead, y down, x to the right
    assert camera.tolist() == [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    assert axes_matrix("ros").tolist() == np.eye(3).tolist()
    assert axes_matrix("opengl")[:, 2].tolist() == [-1, 0, 0]  # looks along -z


@settings(deadline=None, max_examples=60)
@given(
    camera=st.sampled_from([*CONVENTIONS, *RIGHT_HANDED]),
    world=st.sampled_from([*CONVENTIONS, *RIGHT_HANDED]),
    seed=st.integers(0, 99),
    pitch=st.sampled_from([-40.0, 0.0, 30.0]),
    order=st.sampled_from(["xyzw", "wxyz", "matrix"]),
)
def test_one_walk_in_every_convention_is_one_walk(
    in_space, camera: str, world: str, seed: int, pitch: float, order: str
):
    truth = in_space.walk(seed, 20, pitch)
    poses = in_space.recorded(truth, camera, world, as_quaternions=order != "matrix")
    if order == "wxyz":
        rolled = np.roll(poses.orientation, 1, axis=1)
        poses = CameraPoses(poses.position_T3, rolled)
    named = PoseSettings(
        camera_axes=camera, world_axes=world, quaternion_order="" if order == "matrix" else order
    )
    back = poses.on_ground(named)
    rotation_T33 = poses.orientation
    if rotation_T33.ndim == 3:
        turned_T3 = (rotation_T33.transpose(0, 2, 1) @ poses.position_T3[:, :, None])[:, :, 0]
        other = CameraPoses(-turned_T3, rotation_T33.transpose(0, 2, 1))
        again = other.on_ground(named.model_copy(update={"pose": "world_to_camera"}))
        assert again.poses_T3 == pytest.approx(truth.poses_T3, abs=1e-9)
    assert poses.wrong_orientation() is None
    assert back.poses_T3 == pytest.approx(truth.poses_T3, abs=1e-9)
    assert back.position_T3 == pytest.approx(truth.position_T3, abs=1e-9)


@pytest.mark.parametrize("pitch", [-60.0, 0.0, 45.0])
def test_a_tilted_cameras_heading_is_that_of_its_view(in_space, pitch: float):
    about = in_space.about
    yaw_T = np.radians([-170.0, -90.0, 0.0, 30.0, 179.0])
    tilt_T = np.full(5, math.radians(pitch))
    truth = GroundWalk(np.zeros((5, 3)), about(2, yaw_T) @ about(1, tilt_T))
    assert truth.poses_T3[:, 2] == pytest.approx(yaw_T)
    assert not len(truth.without_heading)
    up = GroundWalk(np.zeros((1, 3)), about(1, np.array([math.pi / 2])))
    assert up.without_heading.tolist() == [0]


@pytest.mark.parametrize("letters", sorted(set(LETTERS) - set(RIGHT_HANDED)))
def test_left_handed_axes_are_refused(letters: str):
    with pytest.raises(ValidationError, match=f"camera_axes(.|\n)*'{letters}' are left-handed"):
        PoseSettings(camera_axes=letters)


@pytest.mark.parametrize(
    ("axes", "message"),
    [("unity", "no convention"), ("RD", "no convention"), ("RLF", "twice"), ("rdf", "no conv")],
)
def test_axes_that_are_none_are_refused(axes: str, message: str):
    with pytest.raises(ValidationError, match=f"world_axes(.|\n)*{message}"):
        PoseSettings(world_axes=axes)


@pytest.mark.parametrize(
    ("orientation", "message"),
    [
        ([[0, 0, 0, 1], [0, 0, 0, 9]], r"quaternion \(0, 0, 0, 9\) does not have length 1"),
        ([np.eye(3), np.diag([1, -1, 1])], "left-handed"),
        ([np.eye(3), 2 * np.eye(3)], "no rotation"),
        ([np.eye(3), np.ones((3, 3))], "no rotation"),
    ],
)
def test_numbers_that_are_no_rotation_are_named(orientation: list, message: str):
    wrong = CameraPoses(np.zeros((2, 3)), np.array(orientation, np.float64)).wrong_orientation()
    assert wrong is not None
    assert wrong[0] == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(wrong[1])
