"""One walk, written in every layout that is read, is one walk."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data.cameras import CameraPoses, GroundWalk, PoseSettings
from chiasm.data.layouts import layout_of
from chiasm.data.trajectories import read_trajectory
from chiasm.errors import UserError

LENGTH = 24
BEGIN_NS = 1_305_031_229_528_748_000


def frames(folder: Path, pattern: str, first: int = 0, count: int = LENGTH) -> None:
    for number in range(count):
        file = folder / pattern.format(number + first)
        file.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.new("RGB", (8, 6), (number, 0, 0)).save(file, "PNG")


def matrices(poses: CameraPoses) -> np.ndarray:
    matrix_T44 = np.tile(np.eye(4), (len(poses), 1, 1))
    matrix_T44[:, :3, :3], matrix_T44[:, :3, 3] = poses.orientation, poses.position_T3
    return matrix_T44


def rows(table: np.ndarray) -> str:
    return "".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in table)


def write_jsonl(folder: Path, in_space, truth: GroundWalk, field: str = "") -> None:
    frames(folder, "rgb/{:06}.png")
    poses = in_space.recorded(truth, "opencv", "ros", as_quaternions=not field)
    lines = []
    for n in range(LENGTH):
        row: dict = {"image": f"rgb/{n:06}.png"}
        if field:
            row[field] = matrices(poses)[n].tolist()
        else:
            row["position"] = poses.position_T3[n].tolist()
            row["quat_xyzw"] = poses.orientation[n].tolist()
        lines.append(json.dumps(row) + "\r\n")
    (folder / "poses.jsonl").write_bytes(b"\xef\xbb\xbf" + "".join(lines).encode())


def write_tum(folder: Path, in_space, truth: GroundWalk, stamp: str = "s") -> None:
    """Frames at uneven times between denser poses, as the benchmark has them."""
    poses = in_space.recorded(truth, "opencv", "ros", as_quaternions=True)
    frame_ns = BEGIN_NS + np.arange(LENGTH) * 33_000_000 + np.arange(LENGTH) % 3 * 1_000_000
    frames(folder, "rgb/{}.png")
    text = {"s": lambda t: f"{t / 10**9:.6f}", "ns": str, "sheet": lambda t: f"{t:.14E}"}[stamp]
    listing = [f"{text(int(t))} rgb/{n}.png" for n, t in enumerate(frame_ns)]
    (folder / "rgb.txt").write_text("# color images\n# timestamp filename\n" + "\n".join(listing))
    lines = ["# ground truth trajectory", "# timestamp tx ty tz qx qy qz qw"]
    for n, t in enumerate(frame_ns.tolist()):
        own = [*poses.position_T3[n], *poses.orientation[n]]
        far = [99.0, 0, 0, 0, 0, 0, 1]  # between the frames: not to be taken
        for time, values in ((t + 2_000_000, own), (t + 15_000_000, far)):
            lines.append(" ".join([text(time), *(f"{value:.9g}" for value in values)]))
    (folder / "groundtruth.txt").write_text("\r\n".join(lines))


def write_kitti(folder: Path, in_space, truth: GroundWalk, place: str = "poses.txt") -> None:
    frames(folder, "image_2/{:06}.png")
    poses = in_space.recorded(truth, "opencv", "opencv")
    file = folder / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(rows(matrices(poses)[:, :3].reshape(-1, 12)))


def write_matrices(folder: Path, in_space, truth: GroundWalk, kind: str) -> None:
    scannet = kind == "scannet"
    frames(folder, "color/{}.jpg" if scannet else "frame-{:06}.color.png", 5)
    poses = in_space.recorded(truth, "opencv", "ros" if scannet else "opencv")
    for number, matrix in enumerate(matrices(poses), 5):
        name = f"pose/{number}.txt" if scannet else f"frame-{number:06}.pose.txt"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(rows(matrix))


WRITERS = {
    "quaternions": write_jsonl,
    "matrices": lambda *a: write_jsonl(*a, field="pose"),
    "named matrices": lambda *a: write_jsonl(*a, field="transform_matrix"),
    "TUM": write_tum,
    "TUM in ns": lambda *a: write_tum(*a, stamp="ns"),
    "TUM through a spreadsheet": lambda *a: write_tum(*a, stamp="sheet"),
    "KITTI": write_kitti,
    "KITTI, as it is distributed": lambda *a: write_kitti(*a, place="../../poses/05.txt"),
    "ScanNet": lambda *a: write_matrices(*a, kind="scannet"),
    "7-Scenes": lambda *a: write_matrices(*a, kind="7-Scenes"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "sequences" / "05"
    own.mkdir(parents=True)
    return own


@pytest.mark.parametrize("kind", WRITERS)
def test_one_walk_in_every_layout(folder: Path, in_space, kind: str):
    truth = in_space.walk(1, LENGTH)
    WRITERS[kind](folder, in_space, truth)
    trajectory = read_trajectory(folder, PoseSettings())
    expected = truth.poses_T3 * [1, 1, 180 / np.pi]
    assert trajectory.poses_T3 == pytest.approx(expected, abs=1e-5)
    shown = [PillowImage.open(file).getpixel((0, 0))[0] for file in trajectory.files]
    assert shown == list(range(LENGTH))
    assert trajectory.layout.endswith(
        "camera opencv (RDF), world opencv (RDF)"
        if kind.startswith(("KITTI", "7"))
        else "camera opencv (RDF), world ros (FLU)"
    )
    assert ("poses/NAME.txt" in trajectory.layout) == (kind == "KITTI, as it is distributed")
    assert "05" not in trajectory.layout, "the file of one recording is no layout"
    assert not trajectory.notes


def tum(folder: Path, in_space) -> Path:
    write_tum(folder, in_space, in_space.walk(2, LENGTH))
    return folder / "groundtruth.txt"


def test_frames_without_a_pose_at_their_time_are_left_out_and_told(folder: Path, in_space):
    file = tum(folder, in_space)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:2] + lines[6:]))  # the first two frames' poses are gone
    trajectory = read_trajectory(folder, PoseSettings(time_tolerance_seconds=0.004))
    assert len(trajectory) == LENGTH - 2
    assert trajectory.files[0].name == "2.png"
    assert trajectory.notes == ("2 of 24 frames have no pose within 0.004 s and are left out",)


def test_clocks_that_do_not_agree_are_refused(folder: Path, in_space):
    tum(folder, in_space)
    listing = folder / "rgb.txt"
    listing.write_text(listing.read_text().replace("\n1305", "\n1405"))
    with pytest.raises(
        UserError, match=r"0 of 24 frames .*time_tolerance_seconds = 0\.02 .*1405.*1305"
    ):
        read_trajectory(folder, PoseSettings())


def test_frames_of_tum_may_be_named_by_their_times(folder: Path, in_space):
    tum(folder, in_space)
    for line in (folder / "rgb.txt").read_text().splitlines()[2:]:
        time, name = line.split()
        (folder / name).rename(folder / f"rgb/{time}.png")
    (folder / "rgb.txt").unlink()
    assert len(read_trajectory(folder, PoseSettings()).files) == LENGTH


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"),
    [
        ("KITTI", "poses.txt", lambda t: t.replace(" ", "\t", 1)[:-20], r"row 23 has \d+ numbers"),
        ("KITTI", "poses.txt", lambda t: t.replace("\n", " 1\n", 1), "row 0 has 13 numbers and mu"),
        ("KITTI", "poses.txt", lambda t: "x" + t, "no table of numbers"),
        ("KITTI", "poses.txt", lambda t: "inf" + t[t.index(" ") :], "frame 0.*is not finite"),
        (
            "ScanNet",
            "pose/7.txt",
            lambda t: t.replace("0 0 0 1", "1 2 3 1"),
            r"last row .*\(1, 2, 3",
        ),
        ("ScanNet", "pose/7.txt", lambda t: "-inf " * 16, "last row of a pose is"),
        ("ScanNet", "pose/7.txt", lambda t: "1 2 3", "has 3 numbers, not 4 x 4"),
        ("7-Scenes", "frame-000006.pose.txt", None, "24 frames and 23 poses: frame 6 has no pose"),
        ("7-Scenes", "frame-000006.color.png", None, "23 frames and 24 poses: pose 6 has no frame"),
        (
            "TUM",
            "groundtruth.txt",
            lambda t: t.replace("1305", "noon", 1),
            "time 'noon.*is no numb",
        ),
        ("TUM", "groundtruth.txt", lambda t: t + "\n" + t, "must rise"),
        ("TUM", "rgb.txt", lambda t: t + "\n5", r"\['5'\] is not a time and a file"),
        ("quaternions", "poses.jsonl", lambda t: "", "has no poses"),
        (
            "quaternions",
            "poses.jsonl",
            lambda t: t.replace("quat_xyzw", "quat"),
            "line 1: 'quat_xy",
        ),
    ],
)
def test_wrong_files_are_named(folder: Path, in_space, kind: str, name: str, change, message: str):
    WRITERS[kind](folder, in_space, in_space.walk(1, LENGTH))
    if change is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(change((folder / name).read_text()))
    with pytest.raises(UserError, match=message):
        read_trajectory(folder, PoseSettings())


def test_text_that_is_not_utf8_is_refused(folder: Path, in_space):
    tum(folder, in_space)
    (folder / "groundtruth.txt").write_bytes(
        (folder / "groundtruth.txt").read_text().encode("utf-16")
    )
    with pytest.raises(UserError, match="is not text in UTF-8"):
        read_trajectory(folder, PoseSettings())


def test_a_folder_in_place_of_a_pose_is_told(folder: Path, in_space):
    write_matrices(folder, in_space, in_space.walk(1, LENGTH), "scannet")
    (folder / "pose/7.txt").unlink()
    (folder / "pose/7.txt").mkdir()
    with pytest.raises(UserError, match=r"pose/7\.txt cannot be read \(Is a directory\)"):
        read_trajectory(folder, PoseSettings())


def test_a_mirrored_recording_is_refused(folder: Path, in_space):
    write_kitti(folder, in_space, in_space.walk(1, LENGTH))
    table = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    table[:, 1] *= -1  # y upwards, the rest as it was
    (folder / "poses.txt").write_text(rows(table.reshape(-1, 12)))
    with pytest.raises(UserError, match=r"poses\.txt: frame 0: the matrix is left-handed"):
        read_trajectory(folder, PoseSettings())


def test_axes_of_another_convention_name_the_settings_that_mend_it(folder: Path, in_space):
    """The case that was read in silence: a world with y down, taken for one with z up."""
    truth = in_space.walk(1, LENGTH)
    frames(folder, "{}.png")
    poses = in_space.recorded(truth, "opencv", "opencv", as_quaternions=True)
    lines = [
        {"image": f"{n}.png", "position": p.tolist(), "quat_xyzw": q.tolist()}
        for n, (p, q) in enumerate(zip(poses.position_T3, poses.orientation, strict=True))
    ]
    (folder / "poses.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(UserError, match=r'trajectories\.world_axes = "opencv"'):
        read_trajectory(folder, PoseSettings())
    mended = read_trajectory(folder, PoseSettings(world_axes="opencv"))
    assert mended.poses_T3 == pytest.approx(truth.poses_T3 * [1, 1, 180 / np.pi], abs=1e-6)


def test_poses_that_no_convention_makes_a_walk_say_what_else_to_look_for(folder: Path, in_space):
    """The world in the camera, where the camera in the world is meant."""
    truth = in_space.walk(1, LENGTH)
    frames(folder, "image_2/{:06}.png")
    inverse = np.linalg.inv(matrices(in_space.recorded(truth, "FRD", "RDF")))
    (folder / "poses.txt").write_text(rows(inverse[:, :3].reshape(-1, 12)))
    with pytest.raises(UserError, match=r"poses\.txt: .*(not their inverse|would do)"):
        read_trajectory(folder, PoseSettings())


def test_hidden_files_are_no_layout(tmp_path: Path):
    (tmp_path / "._frame-000000.pose.txt").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert layout_of(tmp_path) is None
