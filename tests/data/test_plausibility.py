import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.cameras import CONVENTIONS, CameraPoses, GroundWalk, PoseSettings, axes_matrix
from chiasm.data.plausibility import (
    looks_like_degrees,
    looks_like_radians,
    looks_mirrored,
    objection,
    settings_without_objection,
    travel,
)

UNNAMED = PoseSettings()


def right_handed() -> list[str]:
    found = []
    for letters in map("".join, product("FBLRUD", repeat=3)):
        try:
            axes_matrix(letters)
        except ValueError:
            continue
        found.append(letters)
    return found


UPSIDE_DOWN = {("LUF", world) for world in right_handed() if axes_matrix(world)[2, 2] == -1}
"""Camera and world both stand on their head: as poses, a walk like any other."""


def steps(poses_T3: np.ndarray) -> np.ndarray:
    """[T - 1, 3]: ahead, left, turn; the same wherever the world's axes lie on the ground."""
    way_S = (np.diff(poses_T3[:, :2], axis=0) @ [1, 1j]) * np.exp(-1j * poses_T3[:-1, 2])
    turn_S = np.angle(np.exp(1j * np.diff(poses_T3[:, 2])))
    return np.column_stack([way_S.real, way_S.imag, turn_S])


def inverse(poses: CameraPoses) -> CameraPoses:
    """Matrices that turn the world's axes into the camera's."""
    matrix_T44 = np.tile(np.eye(4), (len(poses), 1, 1))
    matrix_T44[:, :3, :3], matrix_T44[:, :3, 3] = poses.orientation, poses.position_T3
    inverse_T44 = np.linalg.inv(matrix_T44)
    return CameraPoses(inverse_T44[:, :3, 3], inverse_T44[:, :3, :3])


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 200), pitch=st.sampled_from([-30.0, 0.0, 30.0]))
def test_no_convention_is_misread_in_silence(in_space, seed: int, pitch: float):
    """Whichever axes a recording has, read without naming them it is the walk, or is refused."""
    truth = in_space.walk(seed, 60, pitch)
    assert objection(truth, UNNAMED) is None
    for camera, world in product(right_handed(), right_handed()):
        read = in_space.recorded(truth, camera, world).on_ground(UNNAMED)
        same = np.allclose(steps(read.poses_T3), steps(truth.poses_T3), atol=1e-6)
        refused = objection(read, UNNAMED) is not None
        assert same or refused or (camera, world) in UPSIDE_DOWN, (camera, world)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 200),
    camera=st.sampled_from(sorted(CONVENTIONS.keys() - {"enu"})),
    world=st.sampled_from(sorted(CONVENTIONS.keys() - {"pytorch3d"})),
    order=st.sampled_from(["xyzw", "wxyz", "matrix", "inverse"]),
)
def test_the_settings_that_are_named_do_mend_it(
    in_space, seed: int, camera: str, world: str, order: str
):
    truth = in_space.walk(seed, 60)
    poses = in_space.recorded(truth, camera, world, as_quaternions=order in ("xyzw", "wxyz"))
    poses = inverse(poses) if order == "inverse" else poses
    if order == "wxyz" and (camera, world) != ("opencv", "ros"):
        return  # two faults at once: refused, but the remedy need not be found
    if order == "wxyz":
        poses = CameraPoses(poses.position_T3, np.roll(poses.orientation, 1, axis=1))
    if objection(poses.on_ground(UNNAMED), UNNAMED) is None:
        return
    remedies = settings_without_objection(poses, UNNAMED)
    read = []
    for remedy in remedies:
        read.append(poses.on_ground(PoseSettings.model_validate(remedy)))
    assert any(
        np.allclose(steps(each.poses_T3), steps(truth.poses_T3), atol=1e-6) for each in read
    ), remedies


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("camera", "world"), [("opencv", "ros"), ("opengl", "enu")])
def test_inverse_matrices_are_told_first(in_space, seed: int, camera: str, world: str):
    truth = in_space.walk(seed, 60)
    named = PoseSettings(camera_axes=camera, world_axes=world)
    poses = inverse(in_space.recorded(truth, camera, world))
    assert objection(poses.on_ground(named), named)
    assert settings_without_objection(poses, named)[0] == {"pose": "world_to_camera"}
    right = in_space.recorded(truth, camera, world)
    wrong = named.model_copy(update={"pose": "world_to_camera"})
    assert settings_without_objection(right, wrong)[0] == {"pose": "camera_to_world"}


def test_a_walk_that_hardly_turns_is_told_by_its_heights(in_space):
    """A world with y upwards, read as if z were."""
    length = 40
    still_T = np.zeros(length)
    side_T = np.linspace(0, 4, length)
    truth = GroundWalk(
        np.column_stack([0.02 * side_T, side_T, still_T]), in_space.about(2, still_T)
    )
    turned = in_space.about(0, still_T + np.pi / 2)
    on_its_side = GroundWalk(truth.position_T3 @ turned[0].T, truth.rotation_T33)
    why = objection(on_its_side, PoseSettings(camera_axes="opencv"))
    assert why is not None
    assert "moves across the ground plane" in why
    assert objection(on_its_side, PoseSettings(camera_axes="opencv", world_axes="ros")) is None


def test_headings_that_no_camera_made_are_refused(in_space):
    """A camera that is carried upright, its top taken for where it looks."""
    truth = in_space.walk(3, 200)
    tipped = GroundWalk(truth.position_T3, truth.rotation_T33 @ in_space.about(1, np.array([-1.5])))
    why = objection(tipped, UNNAMED)
    assert why is not None
    assert "degrees away from the world's up" in why
    lying = GroundWalk(truth.position_T3, truth.rotation_T33 @ in_space.about(1, np.array([-0.8])))
    assert objection(lying, UNNAMED) is None  # it looks up steeply, and may


def test_one_jump_is_refused(in_space):
    truth = in_space.walk(4, 60)
    flipped_T33 = truth.rotation_T33.copy()
    flipped_T33[30] = flipped_T33[30] @ in_space.about(2, np.array([3.0]))[0]
    why = objection(GroundWalk(truth.position_T3, flipped_T33), UNNAMED)
    assert why is not None
    assert re.match(r"from frame (29 to 30|30 to 31) the camera jumps by 17\d degrees", why)


def test_a_camera_that_looks_aside_is_believed_if_its_axes_are_named(in_space):
    truth = in_space.walk(5, 60)
    aside = GroundWalk(truth.position_T3, truth.rotation_T33 @ in_space.about(2, np.array([1.5])))
    why = objection(aside, UNNAMED)
    assert why is not None
    assert "always goes 86 degrees away from where the camera looks" in why
    assert objection(aside, PoseSettings(camera_axes="opencv")) is None


def ground(in_space, seed: int, length: int = 60) -> np.ndarray:
    return in_space.walk(seed, length).poses_T3


@pytest.mark.parametrize("wrapped", [360.0, 180.0, 0.0])
@pytest.mark.parametrize("seed", range(4))
def test_degrees_do_not_pass_as_radians(in_space, seed: int, wrapped: float):
    poses_T3 = ground(in_space, seed)
    degrees_T3 = poses_T3 * [1, 1, 180 / np.pi]
    if wrapped:
        degrees_T3[:, 2] = (degrees_T3[:, 2] + 360 - wrapped) % 360 - 360 + wrapped
    assert looks_like_degrees(poses_T3) is None
    many_turns = np.unwrap(poses_T3[:, 2]) + 40 * np.pi
    assert looks_like_degrees(np.column_stack([poses_T3[:, :2], many_turns])) is None
    assert "it reaches" in (looks_like_degrees(degrees_T3) or "")


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 200), full=st.booleans())
def test_radians_do_not_pass_as_degrees(in_space, seed: int, full: bool):
    poses_T3 = ground(in_space, seed)
    assert looks_like_radians(poses_T3) is None
    if full:
        poses_T3[:, 2] %= 2 * np.pi
    found = looks_like_radians(poses_T3 * [1, 1, np.pi / 180])
    # A walk that hardly leaves the direction of its world's x axis has the same traits in both.
    assert found or travel(poses_T3 * [1, 1, np.pi / 180]).real > travel(poses_T3).real - 0.051


def test_a_straight_walk_may_be_in_degrees():
    straight_T3 = np.column_stack(
        [np.arange(9.0), np.zeros(9), np.radians([0, 1, 2, 1, 0] + [3] * 4)]
    )
    assert looks_like_radians(straight_T3) is None
    assert looks_like_radians(straight_T3 * 0) is None


def test_yaw_that_turns_clockwise_is_noticed(in_space):
    poses_T3 = ground(in_space, 2, 200)
    assert not looks_mirrored(poses_T3)
    assert looks_mirrored(poses_T3 * [1, 1, -1])
    assert looks_mirrored(poses_T3 * [1, -1, 1])


def test_direction_of_travel():
    straight_T3 = np.column_stack([np.arange(5.0), np.zeros(5), np.zeros(5)])
    assert travel(straight_T3) == pytest.approx(1)
    to_its_right_T3 = straight_T3 + np.array([0, 0, np.pi / 2])
    assert travel(to_its_right_T3) == pytest.approx(-1j)
    assert travel(straight_T3 * 0) == 0
