import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data.cameras import CameraPoses, PoseSettings
from chiasm.data.panning import refuse_turns_that_pictures_deny
from chiasm.data.trajectories import Trajectory, read_trajectory
from chiasm.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "nav"
VIEW_DEGREES = 90


def room(folder: Path, yaw_T: np.ndarray, *, plain: bool = False, flip: bool = False) -> Trajectory:
    """Views of a round room with a pattern on its wall, from its middle."""
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (12, 90), np.uint8)
    wall = np.asarray(PillowImage.fromarray(coarse).resize((1440, 64)))  # 4 columns a degree
    for number, yaw in enumerate(yaw_T):
        left = round(-(yaw + VIEW_DEGREES / 2) * 4)  # to the left is counter-clockwise
        columns = np.arange(left, left + VIEW_DEGREES * 4) % 1440
        view = np.full((64, 360), 90, np.uint8) if plain else wall[:, columns]
        view = view[:, ::-1] if flip else view
        PillowImage.fromarray(np.ascontiguousarray(view)).save(folder / f"{number}.png")
    content = {"position": [[0.0, 0.0]] * len(yaw_T), "yaw": np.radians(yaw_T).tolist()}
    (folder / "traj_data.json").write_text(json.dumps(content))
    return read_trajectory(folder, PoseSettings())


def mirrored(trajectory: Trajectory) -> Trajectory:
    return Trajectory(
        trajectory.folder, trajectory.poses_T3 * [1, -1, -1], trajectory.names, b"", ""
    )


@pytest.mark.parametrize("sense", [-1, 1])
def test_turns_the_other_way_than_the_pictures_are_refused(tmp_path: Path, sense: int):
    truth = room(tmp_path / "a", sense * np.arange(30) * 5.0)
    refuse_turns_that_pictures_deny("nav", [truth])
    word = "left" if sense < 0 else "right"
    with pytest.raises(UserError, match=rf"in \d+ of \d+ pairs.*5 degrees to the {word}, and what"):
        refuse_turns_that_pictures_deny("nav", [mirrored(truth)])
    flipped = room(tmp_path / "b", sense * np.arange(30) * 5.0, flip=True)
    with pytest.raises(UserError, match="pictures must not be mirrored"):
        refuse_turns_that_pictures_deny("nav", [flipped])


def test_what_the_pictures_deny_is_no_remedy(tmp_path: Path, in_space):
    """Inverse matrices of a camera that turns: the one remedy left is to invert them."""
    folder = tmp_path / "a"
    yaw_T = np.arange(40) * 5.0
    room(folder, yaw_T)
    (folder / "traj_data.json").unlink()
    angle_T = np.radians(yaw_T)
    place_T3 = np.column_stack([30 + np.sin(angle_T), -np.cos(angle_T), 1 + 0 * angle_T])
    truth = type(in_space.walk(0))(place_T3, in_space.about(2, angle_T))
    poses = in_space.recorded(truth, "opencv", "ros")
    lines = []
    for number in range(len(yaw_T)):
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = poses.orientation[number], poses.position_T3[number]
        pose = np.linalg.inv(matrix).tolist()
        lines.append(json.dumps({"image": f"{number}.png", "matrix": pose}))
    (folder / "poses.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match="look like world-to-camera matrices") as refused:
        read_trajectory(folder, PoseSettings())
    assert "_axes = " not in str(refused.value)
    read = read_trajectory(folder, PoseSettings(pose="world_to_camera"))
    assert read.layout.endswith("inverted")
    assert read.poses_T3[:, :2] == pytest.approx(place_T3[:, :2])
    refuse_turns_that_pictures_deny("nav", [read])


def test_pictures_that_tell_nothing_refuse_nothing(tmp_path: Path):
    plain = room(tmp_path / "plain", np.arange(30) * 5.0, plain=True)
    refuse_turns_that_pictures_deny("nav", [mirrored(plain)])
    short = room(tmp_path / "short", np.arange(6) * 5.0)
    refuse_turns_that_pictures_deny("nav", [mirrored(short)])
    broken = room(tmp_path / "broken", np.arange(30) * 5.0)
    for file in broken.files:
        file.write_bytes(b"no picture")
    refuse_turns_that_pictures_deny("nav", [mirrored(broken)])


@pytest.mark.parametrize("name", ["tum_fr1_rpy", "vizdoom_freedoom2_map02", "vizdoom_udmf_003"])
def test_real_walks_turn_as_their_pictures_do(name: str):
    if not SHARED.exists():
        pytest.skip("the real data of the trials is not beside this checkout")
    truth = read_trajectory(SHARED / name, PoseSettings())
    refuse_turns_that_pictures_deny("nav", [truth])
    with pytest.raises(UserError, match="turn the other way"):
        refuse_turns_that_pictures_deny("nav", [mirrored(truth)])


def test_a_recording_that_stands_on_its_head_is_refused(in_space):
    """The one case that poses alone do not tell: camera and world are both upside down."""
    if not SHARED.exists():
        pytest.skip("the real data of the trials is not beside this checkout")
    truth = read_trajectory(SHARED / "tum_fr1_rpy", PoseSettings())
    yaw_T = np.radians(truth.poses_T3[:, 2])
    position_T3 = np.column_stack([truth.poses_T3[:, :2], np.zeros(len(truth))])
    walk = type(in_space.walk(0))(position_T3, in_space.about(2, yaw_T))
    poses: CameraPoses = in_space.recorded(walk, "pytorch3d", "ned")
    misread_T3 = poses.on_ground(PoseSettings()).poses_T3 * [1, 1, 180 / np.pi]
    with pytest.raises(UserError, match="turn the other way"):
        refuse_turns_that_pictures_deny(
            "nav", [Trajectory(truth.folder, misread_T3, truth.names, b"")]
        )
