import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chiasm.data.cameras import CONVENTIONS, CameraPoses, GroundWalk, PoseSettings, axes_matrix

LETTERS = [
    "".join(letters) for pairs in permutations(("FB", "LR", "UD")) for letters in product(*pairs)
]


def right_handed(letters: str) -> bool:
    x, y, z = (np.array(_UNIT[letter]) for letter in letters)
    return bool(np.cross(x, y) @ z > 0)


_UNIT = {"F": (1, 0, 0), "B": (-1, 0, 0), "L": (0, 1, 0), "R": (0, -1, 0), "U": (0, 0, 1)}
_UNIT["D"] = (0, 0, -1)
RIGHT_HANDED = [letters for letters in LETTERS if right_handed(letters)]


def about(axis: int, angle_T: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] about an axis of (ahead, left, up)."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    rotation_T33 = np.tile(np.eye(3), (len(angle_T), 1, 1))
    rotation_T33[:, one, one] = rotation_T33[:, other, other] = np.cos(angle_T)
    rotation_T33[:, other, one] = np.sin(angle_T)
    rotation_T33[:, one, other] = -np.sin(angle_T)
    return rotation_T33


def walk(seed: int, length: int = 60, pitch_degrees: float = 0.0) -> GroundWalk:
    """Somebody goes where they look, turning both ways, and sways a little."""
    rng = np.random.default_rng(seed)
    # Turns of a hundred degrees or more one way and the other, in all.
    turn_T = 0.05 * np.sin(np.arange(length) / 6 + rng.uniform(0, 6)) + rng.uniform(0.01, 0.05)
    yaw_T = rng.uniform(-3, 3) + turn_T.cumsum()
    sway = rng.normal(0, 0.01, (2, length))
    pitch_T = math.radians(pitch_degrees) + sway[0]
    rotation_T33 = about(2, yaw_T) @ about(1, pitch_T) @ about(0, sway[1])
    step_T2 = rng.uniform(0.02, 0.1, length)[:, None] * np.stack([np.cos(yaw_T), np.sin(yaw_T)], 1)
    height_T = 1.5 + 0.01 * rng.normal(size=length)
    position_T3 = np.column_stack([step_T2.cumsum(0) - step_T2, height_T])
    return GroundWalk(position_T3, rotation_T33)


def quaternions(rotation_T33: np.ndarray) -> np.ndarray:
    """[T, 4] x, y, z, w: the eigenvector of Bar-Itzhack's matrix, either sign."""
    found = []
    for r in rotation_T33:
        matrix = np.array(
            [
                [r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], 0],
                [0, r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1], 0],
                [0, 0, r[2, 2] - r[0, 0] - r[1, 1], 0],
                [0, 0, 0, np.trace(r)],
            ]
        )
        matrix[:3, 3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
        found.append(np.linalg.eigh(matrix, UPLO="U")[1][:, -1])
    return np.array(found)


def recorded(
    truth: GroundWalk, camera: str, world: str, as_quaternions: bool = False
) -> CameraPoses:
    """A walk as a recorder with these axes would write it."""
    c, w = axes_matrix(camera), axes_matrix(world)
    rotation_T33 = w.T @ truth.rotation_T33 @ c
    orientation = quaternions(rotation_T33) if as_quaternions else rotation_T33
    return CameraPoses(truth.position_T3 @ w, orientation)


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
    camera: str, world: str, seed: int, pitch: float, order: str
):
    truth = walk(seed, 20, pitch)
    poses = recorded(truth, camera, world, as_quaternions=order != "matrix")
    if order == "wxyz":
        rolled = np.roll(poses.orientation, 1, axis=1)
        poses = CameraPoses(poses.position_T3, rolled)
    named = PoseSettings(
        camera_axes=camera, world_axes=world, quaternion_order="" if order == "matrix" else order
    )
    back = poses.on_ground(named)
    assert poses.wrong_orientation() is None
    assert back.poses_T3 == pytest.approx(truth.poses_T3, abs=1e-9)
    assert back.position_T3 == pytest.approx(truth.position_T3, abs=1e-9)


@pytest.mark.parametrize("pitch", [-60.0, 0.0, 45.0])
def test_a_tilted_cameras_heading_is_that_of_its_view(pitch: float):
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
