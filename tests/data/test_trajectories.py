import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as PillowImage

from chiasm.data.cameras import PoseSettings
from chiasm.data.sides import find_trajectories
from chiasm.data.trajectories import read_trajectory
from chiasm.errors import UserError

POSITION = [[0.0, 0.0], [0.5, 0.0], [0.5, 0.25]]
YAW = [0.0, math.pi / 2, -math.pi]
TURNED = [-0.5, 0.5, -0.5, 0.5]
"""Of a camera that looks along x, its top upwards."""


def frames(folder: Path, count: int, size: tuple[int, int] = (8, 6)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        PillowImage.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.jpg")
    return folder


def content(folder: Path, position: object = POSITION, yaw: object = YAW) -> Path:
    (folder / "traj_data.json").write_text(json.dumps({"position": position, "yaw": yaw}))
    return folder


def lines(folder: Path, *rows: object) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (folder / "poses.jsonl").write_text(text)
    return folder


def read(folder: Path, metres_per_unit: float = 1.0, largest: float = 10.0):
    settings = PoseSettings(metres_per_unit=metres_per_unit, largest_step_metres=largest)
    return read_trajectory(folder, settings)


def test_json_and_pickle_say_the_same(tmp_path: Path):
    first = content(frames(tmp_path / "a", 3))
    second = frames(tmp_path / "b", 3)
    pickled = {"position": np.array(POSITION), "yaw": np.array(YAW)[:, None]}  # as some data has it
    (second / "traj_data.pkl").write_bytes(pickle.dumps(pickled))
    for folder in (first, second):
        trajectory = read(folder, metres_per_unit=2.0)
        assert trajectory.poses_T3.tolist() == [[0, 0, 0], [1, 0, 90], [1, 0.5, -180]]
        assert [file.name for file in trajectory.files] == ["0.jpg", "1.jpg", "2.jpg"]
    assert read(first).identity == read(second, 2.0).identity


def test_camera_poses_are_projected_onto_the_ground(tmp_path: Path):
    folder = frames(tmp_path / "a", 2)
    row = {"position": [1, 2, 1.6], "quat_xyzw": TURNED}
    lines(folder, {"image": "1.jpg", **row}, "", {"image": "0.jpg", **row})
    trajectory = read(folder)
    assert trajectory.poses_T3 == pytest.approx(np.array([[1, 2, 0.0]] * 2))
    assert [file.name for file in trajectory.files] == ["1.jpg", "0.jpg"]


def test_the_list_of_names_decides_what_is_read(tmp_path: Path):
    for name in ("b", "a", "c"):
        content(frames(tmp_path / name, 3))
    frames(tmp_path / "no poses", 1)
    found = find_trajectories(str(tmp_path))
    assert [folder.name for folder in found] == ["a", "b", "c"]
    (tmp_path / "traj_names.txt").write_text("c\n\na\n")
    assert [folder.name for folder in find_trajectories(str(tmp_path))] == ["c", "a"]
    (tmp_path / "traj_names.txt").write_text("d\n")
    with pytest.raises(UserError, match=r"traj_names\.txt lists 'd'.*take its line out"):
        find_trajectories(str(tmp_path))


def test_places_without_trajectories_are_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"path = '.*none' is not there"):
        find_trajectories(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"path = .* holds no trajectories; .*traj_data\.json"):
        find_trajectories(str(tmp_path))
    with pytest.raises(UserError, match=r"empty has none of poses\.jsonl.*mend it"):
        read(frames(tmp_path / "empty", 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"traj_data\.json is not JSON"),
        ("[1]", "has no position and yaw"),
        ('{"position": [[0, 0]]}', "has no position and yaw"),
        ('{"position": [[0, "a"]], "yaw": [0]}', "position is no table of numbers"),
        ('{"position": [[0, 0], [1]], "yaw": [0, 0]}', "position is no table of numbers"),
        ('{"position": [[0, 0]], "yaw": [0, 1]}', r"shape \[1, 2\] and yaw \[2\]"),
        ('{"position": [0, 0], "yaw": [0, 1]}', r"shape \[2\] and yaw \[2\]"),
        ('{"position": [[0, 0], [NaN, 0]], "yaw": [0, 1]}', r"frame 1, \(nan, 0, 1\), is not fin"),
        ('{"position": [[0, 0]], "yaw": [Infinity]}', r"frame 0, \(0, 0, inf\), is not finite"),
        ('{"position": [[0, 0], [0, 99]], "yaw": [0, 1]}', "from frame 0 to 1 it jumps 99 m, .*10"),
        ('{"position": [[1e308, 0], [-1e308, 0]], "yaw": [0, 1]}', "jumps inf m"),
    ],
)
def test_wrong_poses_name_file_and_remedy(tmp_path: Path, text: str, message: str):
    folder = frames(tmp_path / "a", 2)
    (folder / "traj_data.json").write_text(text)
    with pytest.raises(UserError, match=r"a/traj_data\.json.*") as caught:
        read(folder)
    assert caught.match(message)
    assert caught.match(r"leave the trajectory out: move its folder elsewhere")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2, is not JSON"),
        ("[" * 100_000, "line 2, is not JSON"),
        ({"image": "1.jpg", "position": [0, 0, 0]}, "line 2: 'quat_xyzw'; a line must hold image"),
        ({"image": "1.jpg", "position": 3, "quat_xyzw": TURNED}, "line 2: .*must hold image"),
        ({"image": "1.jpg", "position": [0, 0], "quat_xyzw": [0, 0, 0, 1]}, "straight up or down"),
        ({"image": "1.jpg", "position": [0, 0], "quat_xyzw": [0, 0, 0, 9]}, "length 1"),
        ({"image": "1.jpg", "position": [math.nan, 0], "quat_xyzw": TURNED}, "frame 1, .*finite"),
    ],
)
def test_wrong_camera_poses_name_their_line(tmp_path: Path, row: object, message: str):
    first = {"image": "0.jpg", "position": [0, 0, 0], "quat_xyzw": TURNED}
    folder = lines(frames(tmp_path / "a", 2), first, row)
    with pytest.raises(UserError, match=rf"poses\.jsonl.*{message}"):
        read(folder)


def test_a_missing_frame_is_named(tmp_path: Path):
    folder = content(frames(tmp_path / "a", 3))
    (folder / "1.jpg").unlink()
    with pytest.raises(UserError, match=r"a: frame 1 of 3, 1\.jpg, is missing; add it"):
        _ = read(folder).files


@pytest.mark.parametrize("pattern", ["{}.jpg", "{:06}.png", "{}.JPG", "image_2/{:04}.PNG"])
@pytest.mark.parametrize("first", [0, 1])
def test_frames_may_be_padded_and_counted_from_one(tmp_path: Path, pattern: str, first: int):
    folder = content(frames(tmp_path / "a", 0))
    names = [pattern.format(number + first) for number in range(3)]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        PillowImage.new("RGB", (8, 6)).save(folder / name)
    (folder / "._0.jpg").write_bytes(b"")  # as an archive of another system leaves it
    assert [str(file.relative_to(folder)) for file in read(folder).files] == names


def test_frames_and_poses_are_as_many(tmp_path: Path):
    folder = content(frames(tmp_path / "a", 4))
    with pytest.raises(UserError, match=r"a has 4 frames and 3 poses; .*take away the frames"):
        _ = read(folder).files
    (folder / "3.jpg").unlink()
    (folder / "2.jpg").unlink()
    with pytest.raises(UserError, match=r"frame 2 of 3.*\(2 frames and 3 poses were found\)"):
        _ = read(folder).files


def test_yaw_in_degrees_is_noticed_and_read(tmp_path: Path):
    position = [[0.1 * k, 0.0] for k in range(40)]
    yaw = [(350 + 2.0 * k) % 360 for k in range(40)]
    folder = content(frames(tmp_path / "a", 0), position, yaw)
    with pytest.raises(UserError, match=r"yaw .*358.*set trajectories\.yaw_unit = "):
        read(folder)
    poses_T3 = read_trajectory(folder, PoseSettings(yaw_unit="degrees")).poses_T3
    assert poses_T3[:, 2] == pytest.approx(yaw)


def test_yaw_in_radians_is_noticed_where_degrees_are_named(tmp_path: Path):
    angle = np.linspace(0, 6, 60)
    position = np.column_stack([np.sin(angle), 1 - np.cos(angle)])
    folder = content(frames(tmp_path / "a", 0), position.tolist(), angle.tolist())
    with pytest.raises(
        UserError, match=r'it reaches 6 only.*set trajectories\.yaw_unit = "radians"'
    ):
        read_trajectory(folder, PoseSettings(yaw_unit="degrees"))


def test_yaw_that_turns_clockwise_is_refused(tmp_path: Path):
    angle = np.linspace(0, 6, 60)
    position = np.column_stack([np.sin(angle), 1 - np.cos(angle)])  # ahead, curving to the left
    read(content(frames(tmp_path / "a", 0), position.tolist(), angle.tolist()))
    folder = content(frames(tmp_path / "b", 0), position.tolist(), (-angle).tolist())
    with pytest.raises(UserError, match=r"only if yaw turns clockwise.* reverse the sign"):
        read(folder)


def test_a_walk_that_always_goes_aside_is_told(tmp_path: Path):
    position = [[0.0, 0.1 * k] for k in range(9)]
    trajectory = read(content(frames(tmp_path / "a", 0), position, [0.0] * 9))
    assert trajectory.notes == ("goes 90 degrees away from where it looks, all the time",)


def test_the_two_zeros_are_one_recording(tmp_path: Path):
    first = content(frames(tmp_path / "a", 0), [[0.0, 0.0], [0.5, -0.0]], [0.0, -0.0])
    second = content(frames(tmp_path / "b", 0), [[-0.0, 0.0], [0.5, 0.0]], [-0.0, 0.0])
    assert read(first).identity == read(second).identity


def test_numbers_too_large_for_any_float_are_refused(tmp_path: Path):
    folder = frames(tmp_path / "a", 1)
    (folder / "traj_data.json").write_text(f'{{"position": [[{"9" * 400}, 0]], "yaw": [0]}}')
    with pytest.raises(UserError, match="position is no table of numbers"):
        read(folder)


def test_frames_of_several_sizes_are_refused(tmp_path: Path):
    folder = content(frames(tmp_path / "a", 3))
    read(folder).refuse_mixed_sizes()
    PillowImage.new("RGB", (9, 6)).save(folder / "2.jpg")
    with pytest.raises(UserError, match=r"0\.jpg has 8 x 6 pixels and 2\.jpg has 9 x 6; give all"):
        read(folder).refuse_mixed_sizes()


def test_sizes_are_those_of_the_upright_frames(tmp_path: Path):
    folder = content(frames(tmp_path / "a", 3))
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Orientation] = 6
    PillowImage.new("RGB", (6, 8)).save(folder / "2.jpg", exif=exif)
    read(folder).refuse_mixed_sizes()
    PillowImage.new("RGB", (8, 6)).save(folder / "2.jpg", exif=exif)
    with pytest.raises(UserError, match=r"0\.jpg has 8 x 6 pixels and 2\.jpg has 6 x 8; give all"):
        read(folder).refuse_mixed_sizes()


def test_a_broken_picture_is_left_to_the_stream(tmp_path: Path):
    folder = content(frames(tmp_path / "a", 3))
    (folder / "1.jpg").write_bytes(b"no picture")
    read(folder).refuse_mixed_sizes()


def test_names_of_frames_may_be_paths_and_not_too_long(tmp_path: Path):
    elsewhere = frames(tmp_path / "elsewhere", 3)
    rows = [{"position": [n, 0, 1.6], "quat_xyzw": TURNED} for n in range(3)]
    named = [{"image": str(elsewhere / f"{n}.jpg"), **row} for n, row in enumerate(rows)]
    (tmp_path / "a").mkdir()
    trajectory = read(lines(tmp_path / "a", *named))
    part = trajectory.part(1, 3)
    assert [file.resolve() for file in part.files] == trajectory.files[1:]
    long = read(lines(tmp_path / "a", *({"image": "x" * 300, **row} for row in rows)))
    with pytest.raises(UserError, match=r"frame 0 of 3, x{100}, is missing"):
        long.files  # noqa: B018
