"""The file layouts of recorded walks: where the poses are, and the frame of each.

====================  =============================================================================
traj_data.json, .pkl  GNM, Navigation World Models: ``position`` [T, 2], ``yaw`` [T]
poses.jsonl           a line for each frame: image, and position with a quaternion, or a matrix
groundtruth.txt       TUM RGB-D: time, position, quaternion x, y, z, w; frames in rgb.txt or rgb/
poses.txt             KITTI odometry: 12 numbers a line, a 3 x 4 matrix; also poses/NAME.txt above
pose/                 ScanNet: a 4 x 4 matrix for each frame, 0.txt, 1.txt, ...; frames in color/
\\*.pose.txt           7-Scenes: the same, frame-000000.pose.txt beside frame-000000.color.png
====================  =============================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.cameras import CameraPoses, PoseSettings
from chiasm.data.frames import frame_folders, numbered_frames, visible
from chiasm.data.media_files import is_endless
from chiasm.data.pickles import read_pickle
from chiasm.data.stamps import nanoseconds, pair_nearest
from chiasm.errors import UserError

NAMES = "traj_names.txt"
FILES = (
    "poses.jsonl, traj_data.json, traj_data.pkl, groundtruth.txt, poses.txt, pose/0.txt or "
    "frame-000000.pose.txt"
)
LEAVE_OUT = f"leave the trajectory out: move its folder elsewhere, or list the others in {NAMES}"
REMEDY = f"mend it, or {LEAVE_OUT}"
_MATRIX_FIELDS = ("pose", "matrix", "transform_matrix")


@dataclass(frozen=True)
class Recorded:
    """The poses and frame names of a folder, as recorded and before any check of plausibility."""

    file: Path
    """File or folder of the poses."""
    poses: CameraPoses | np.ndarray
    """Poses of a camera in space; or float64 [T, 3]: x and y in the file's unit, yaw in radians."""
    names: tuple[str, ...] = ()
    """Files of the frames relative to the folder; empty if they are found by number."""
    note: str = ""

    @property
    def layout(self) -> str:
        """Name of the layout, by the names of its files."""
        if self.file.is_dir():
            return "pose" if self.file.name == "pose" else "*.pose.txt"
        named = self.file.suffix != ".txt" or self.file.name in ("groundtruth.txt", "poses.txt")
        return self.file.name if named else "poses/NAME.txt"


def layout_of(folder: Path) -> tuple[Path, Callable[[Path, PoseSettings], Recorded]] | None:
    """Returns the place of a folder's poses and the function that reads them; None without any."""
    for name, read in (
        ("poses.jsonl", _read_lines),
        ("traj_data.json", _read_ground),
        ("traj_data.pkl", _read_ground),
        ("groundtruth.txt", _read_tum),
        ("poses.txt", _read_kitti),
        (f"../../poses/{folder.name}.txt", _read_kitti),
    ):
        if (folder / name).is_file():
            return folder / name, read
    for place, pattern in ((folder / "pose", "[0-9]*.txt"), (folder, "*.pose.txt")):
        if place.is_dir() and any(visible(path) for path in place.glob(pattern)):
            return place, _read_matrices
    return None


def text_lines(file: Path) -> list[str]:
    """Returns the lines of a text file, with any line ends, without a byte order mark.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    if is_endless(file):
        raise UserError(f"{file} is a pipe or a device, and no file; {REMEDY}")
    try:
        return file.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); {REMEDY}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8 ({error}); save it as UTF-8") from error


def _read_ground(file: Path, settings: PoseSettings) -> Recorded:
    content = read_pickle(file) if file.suffix == ".pkl" else _json(file.read_bytes(), str(file))
    if not isinstance(content, dict) or not {"position", "yaw"} <= content.keys():
        raise UserError(
            f"{file} has no position and yaw; it must hold position, [T, 2], and yaw, [T] in "
            f"radians: {REMEDY}"
        )
    position, yaw = (_numbers(content[name], f"{file}: {name}") for name in ("position", "yaw"))
    yaw = yaw.reshape(-1) if yaw.shape[1:] == (1,) else yaw
    if position.ndim != 2 or position.shape[1] < 2 or yaw.shape != position.shape[:1]:
        raise UserError(
            f"{file}: position has the shape {list(position.shape)} and yaw {list(yaw.shape)}; "
            f"they must be [T, 2] and [T]: {REMEDY}"
        )
    yaw = np.radians(yaw) if settings.yaw_unit == "degrees" else yaw
    return Recorded(file, np.column_stack([position[:, :2], yaw]))


def _read_lines(file: Path, settings: PoseSettings) -> Recorded:
    names, positions, orientations = [], [], []
    for number, line in enumerate(text_lines(file), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        row = _json(line, f"{where},")
        try:
            names.append(str(row["image"]))
            field = next((name for name in _MATRIX_FIELDS if name in row), None)
            if field:
                position, orientation = _matrix(_numbers(row[field], f"{where}: {field}"), where)
            else:
                position = np.array(row["position"], np.float64)
                orientation = np.array(row["quat_xyzw"], np.float64)
                # Two numbers are a place on the ground: z, by default up in this layout, is 0.
                position = np.append(position, 0.0) if position.shape == (2,) else position
                if (position.shape, orientation.shape) != ((3,), (4,)):
                    raise ValueError("position needs 3 numbers and quat_xyzw 4")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{where}: {error!s:.99}; a line must hold image, and position [x, y, z] with "
                "quat_xyzw, the camera's orientation, "
                f"or {' or '.join(_MATRIX_FIELDS)}, 4 x 4: {REMEDY}"
            ) from error
        positions.append(position)
        orientations.append(orientation)
    if not names:
        raise UserError(f"{file} has no poses; {REMEDY}")
    if len({orientation.ndim for orientation in orientations}) > 1:
        raise UserError(f"{file} has quaternions in some lines and matrices in others; {REMEDY}")
    return Recorded(file, CameraPoses(np.array(positions), np.array(orientations)), tuple(names))


def _read_kitti(file: Path, settings: PoseSettings) -> Recorded:
    table_T = _table(file, 12).reshape(-1, 3, 4)
    # The world is the first camera: x to the right, y down, z ahead.
    return Recorded(file, CameraPoses(table_T[:, :, 3], table_T[:, :, :3], world_axes="opencv"))


def _read_matrices(place: Path, settings: PoseSettings) -> Recorded:
    scannet = place.name == "pose" and not any(place.glob("*.pose.txt"))
    files = [path for path in place.glob("*.txt" if scannet else "*.pose.txt") if visible(path)]
    numbers = [re.search(r"\d+", path.name) for path in files]
    numbered = {int(n[0]): path for n, path in zip(numbers, files, strict=True) if n}
    folder = place.parent if scannet else place
    pictures = numbered_frames(folder)
    lacking = sorted(numbered.keys() ^ pictures.keys())
    if lacking:
        has, hasnt = ("frame", "pose") if lacking[0] in pictures else ("pose", "frame")
        raise UserError(
            f"trajectory {folder} has {len(pictures)} frames and {len(numbered)} poses: "
            f"{has} {lacking[0]} has no {hasnt}; {REMEDY}"
        )
    order = sorted(numbered)
    poses = [_matrix(_table(numbered[n], None), str(numbered[n])) for n in order]
    positions, rotations = (np.array(part) for part in zip(*poses, strict=True))
    world = "ros" if scannet else "opencv"  # 7-Scenes: that of the first camera
    names = tuple(pictures[n] for n in order)
    return Recorded(place, CameraPoses(positions, rotations, world_axes=world), names)


def _read_tum(file: Path, settings: PoseSettings) -> Recorded:
    rows = [line.replace(",", " ").split() for line in _data_lines(file)]
    pose_ns = _stamps([row[0] for row in rows], file)
    table = _table(file, 8)
    names, frame_ns = _timed_frames(file.parent)
    if not len(pose_ns) or not names or (np.diff(pose_ns) <= 0).any():
        raise UserError(
            f"{file}: {len(pose_ns)} poses and {len(names)} frames; both are needed, and the times "
            f"of the poses must rise: {REMEDY}"
        )
    tolerance, both = settings.time_tolerance_seconds, (frame_ns, pose_ns)
    pair_F = pair_nearest(frame_ns, pose_ns, round(tolerance * 1e9))
    kept = np.flatnonzero(pair_F >= 0)
    if len(kept) < 2 or 2 * len(kept) < len(names):
        spans = " and ".join(f"{t[0] / 1e9:.6f} to {t[-1] / 1e9:.6f} s" for t in both)
        raise UserError(
            f"{file}: {len(kept)} of {len(names)} frames have a pose of their own within "
            f"trajectories.time_tolerance_seconds = {tolerance:g} (frames and poses: {spans}); "
            f"raise it, or {REMEDY}"
        )
    left = len(names) - len(kept)
    note = f"{left} of {len(names)} frames have no pose within {tolerance:g} s and are left out"
    rows_T8 = table[pair_F[kept]]
    return Recorded(
        file,
        CameraPoses(rows_T8[:, 1:4], rows_T8[:, 4:]),
        tuple(names[k] for k in kept),
        note if left else "",
    )


def _timed_frames(folder: Path) -> tuple[list[str], np.ndarray]:
    """Returns names and times of frames, int64 [F] in ns, sorted: of rgb.txt, or of file names."""
    listing = folder / "rgb.txt"
    if listing.is_file():
        rows = [line.replace(",", " ").split(maxsplit=1) for line in _data_lines(listing)]
        if wrong := [row for row in rows if len(row) != 2]:
            raise UserError(f"{listing}: {wrong[0]!s:.100} is not a time and a file; {REMEDY}")
        times, names = [row[0] for row in rows], [row[1].strip() for row in rows]
    else:
        listing, names = next(iter(frame_folders(folder)), (folder, []))
        times = [Path(name).stem for name in names]
    stamps = _stamps(times, listing)
    order = np.argsort(stamps, kind="stable")
    return [names[k] for k in order], stamps[order]


def _stamps(texts: list[str], file: Path) -> np.ndarray:
    try:
        return np.array([nanoseconds(text) for text in texts], np.int64)
    except ValueError as error:
        raise UserError(f"{file}: {error}; {REMEDY}") from error


def _data_lines(file: Path) -> list[str]:
    """Returns the lines that are neither empty nor comments."""
    lines = (line.strip() for line in text_lines(file))
    return [line for line in lines if line and not line.startswith("#")]


def _table(file: Path, columns: int | None) -> np.ndarray:
    """Returns numbers between blanks or commas: float64 [lines, columns], or all in one axis."""
    rows = [line.replace(",", " ").split() for line in _data_lines(file)]
    for number, row in enumerate(rows):
        if columns is not None and len(row) != columns:
            raise UserError(
                f"{file}: row {number} has {len(row)} numbers and must have {columns}; {REMEDY}"
            )
    flat = [value for row in rows for value in row]
    return _numbers(flat, str(file)).reshape((len(rows), columns) if columns else -1)


def _matrix(values: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns position [3] and rotation [3, 3] of a pose of 4 x 4 or 3 x 4 numbers."""
    if values.size not in (12, 16):
        raise UserError(f"{where}: a pose has {values.size} numbers, not 4 x 4; {REMEDY}")
    matrix = values.reshape(-1, 4)
    if len(matrix) == 4 and not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
        last = ", ".join(f"{value:g}" for value in matrix[3])
        raise UserError(
            f"{where}: the last row of a pose is ({last}) and must be (0, 0, 0, 1); the matrix "
            f"must turn the camera's axes into the world's, its last column the position: {REMEDY}"
        )
    return matrix[:3, 3], matrix[:3, :3]


def _json(text: bytes | str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not JSON: {error}; {REMEDY}") from error


def _numbers(value: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{what} is no table of numbers ({error!s:.100}); {REMEDY}") from error
