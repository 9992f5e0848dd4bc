"""Recorded walks: folders of frames with the poses that they were taken from.

Two layouts are read. That of GNM and Navigation World Models has numbered frames and
``traj_data.json`` or ``traj_data.pkl`` with ``position`` [T, 2] and ``yaw`` [T] in radians; the
other has ``poses.jsonl``, a line for each frame with its ``image``, its ``position`` in space and
the camera's orientation, ``quat_xyzw``, which :mod:`chiasm.poses` projects onto the ground.
``traj_names.txt`` beside the folders says which of them to read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.pickles import read_pickle
from chiasm.errors import UserError
from chiasm.poses import Pose, heading_radians
from chiasm.rgb import oriented_size

NAMES = "traj_names.txt"
_LAYOUTS = ("poses.jsonl", "traj_data.json", "traj_data.pkl")
_SUFFIXES = (".jpg", ".jpeg", ".png")
LEAVE_OUT = f"leave the trajectory out: move its folder elsewhere, or list the others in {NAMES}"
_REMEDY = f"mend it, or {LEAVE_OUT}"


@dataclass(frozen=True)
class Trajectory:
    """T frames in order of time and where each was taken."""

    folder: Path
    poses_T3: np.ndarray
    """float64: x and y in metres, yaw in degrees."""
    names: tuple[str, ...]
    """The frames' file names; empty where they are numbered."""
    identity: bytes
    """A hash of the recorded poses: equal for copies of one recording."""

    def __len__(self) -> int:
        return len(self.poses_T3)

    def pose(self, number: int) -> Pose:
        """Where a frame was taken."""
        x, y, yaw = self.poses_T3[number].tolist()
        return Pose(x, y, yaw)

    @cached_property
    def files(self) -> list[Path]:
        """Every frame's file.

        Raises:
            UserError: one is missing.
        """
        there = {path.name: path for path in self.folder.iterdir()}
        if self.names:
            found = [there.get(name) for name in self.names]
        else:
            usual = {path.stem: path for path in there.values() if path.suffix.lower() in _SUFFIXES}
            found = [usual.get(str(number)) for number in range(len(self))]
        for number, file in enumerate(found):
            if file is None:
                name = self.names[number] if self.names else f"{number}.jpg"
                raise UserError(
                    f"trajectory {self.folder}: frame {number} of {len(self)}, {name}, is missing; "
                    f"add it, or {LEAVE_OUT}"
                )
        return [file for file in found if file is not None]

    def refuse_mixed_sizes(self) -> None:
        """Raise a UserError unless all frames have one size; headers alone are read.

        A file that is no picture is left to the stream, which skips its documents and counts them.
        """
        sizes: dict[tuple[int, int], Path] = {}
        for file in self.files:
            try:
                sizes.setdefault(oriented_size(file), file)
            except UserError:
                continue
            if len(sizes) > 1:
                (first, a), (other, b) = sizes.items()
                raise UserError(
                    f"trajectory {self.folder}: {a.name} has {first[0]} x {first[1]} pixels and "
                    f"{b.name} has {other[0]} x {other[1]}; give all frames one size"
                )


def find_trajectories(path: str, setting: str) -> list[Path]:
    """The folders that ``traj_names.txt`` lists, or else all that hold poses, by name.

    Raises:
        UserError: no folder, none with poses, or a listed one that is not there.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"{setting} = {path!r} is not there: no such folder")
    if (root / NAMES).is_file():
        lines = (root / NAMES).read_text().splitlines()
        folders = [root / line.strip() for line in lines if line.strip()]
        for folder in folders:
            if not folder.is_dir():
                raise UserError(
                    f"{root / NAMES} lists {folder.name!r}, but there is no such folder; "
                    "add it, or take its line out"
                )
    else:
        folders = sorted(folder for folder in root.iterdir() if _pose_file(folder) is not None)
    if not folders:
        raise UserError(
            f"{setting} = {path!r} holds no trajectories; give a folder of folders, each with "
            f"frames 0.jpg, 1.jpg, ... and one of {', '.join(_LAYOUTS)}"
        )
    return folders


def read_trajectory(folder: Path, metres_per_unit: float, largest_step_metres: float) -> Trajectory:
    """Poses and frame names of one folder; frames are looked for when they are needed.

    Raises:
        UserError: no poses, poses that cannot be read or are not finite, or a jump.
    """
    file = _pose_file(folder)
    if file is None:
        raise UserError(f"trajectory {folder} has none of {', '.join(_LAYOUTS)}; {_REMEDY}")
    names: tuple[str, ...] = ()
    if file.name == "poses.jsonl":
        names, poses_T3 = _camera_poses(file)
    else:
        poses_T3 = _ground_poses(file)
    _refuse_absurd(file, poses_T3, metres_per_unit, largest_step_metres)
    scaled_T3 = poses_T3 * [metres_per_unit, metres_per_unit, 180 / np.pi]
    identity = hashlib.sha256(poses_T3.round(6).tobytes()).digest()
    return Trajectory(folder, scaled_T3, names, identity)


def _pose_file(folder: Path) -> Path | None:
    return next((folder / name for name in _LAYOUTS if (folder / name).is_file()), None)


def _ground_poses(file: Path) -> np.ndarray:
    """float64 [T, 3]: x, y in the file's unit, yaw in radians."""
    content = read_pickle(file) if file.suffix == ".pkl" else _json(file.read_bytes(), str(file))
    if not isinstance(content, dict) or not {"position", "yaw"} <= content.keys():
        raise UserError(
            f"{file} has no position and yaw; it must hold position, [T, 2], and yaw, [T] in "
            f"radians: {_REMEDY}"
        )
    position, yaw = (_numbers(content[name], name, file) for name in ("position", "yaw"))
    yaw = yaw.reshape(-1) if yaw.shape[1:] == (1,) else yaw
    if position.ndim != 2 or position.shape[1] < 2 or yaw.shape != position.shape[:1]:
        raise UserError(
            f"{file}: position has the shape {list(position.shape)} and yaw {list(yaw.shape)}; "
            f"they must be [T, 2] and [T]: {_REMEDY}"
        )
    return np.column_stack([position[:, :2], yaw])


def _camera_poses(file: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Frame names, and float64 [T, 3]: x, y in the file's unit, yaw in radians."""
    names, poses = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        row = _json(line, f"{file}, line {number},")
        try:
            x, y = (float(value) for value in row["position"][:2])
            yaw = heading_radians([float(value) for value in row["quat_xyzw"]])
            names.append(str(row["image"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{file}, line {number}: {error}; a line must hold image, position [x, y, z] and "
                f"quat_xyzw, the camera's orientation: {_REMEDY}"
            ) from error
        poses.append((x, y, yaw))
    return tuple(names), np.array(poses, np.float64).reshape(-1, 3)


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{what} is not JSON: {error}; {_REMEDY}") from error


def _numbers(value: Any, name: str, file: Path) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{file}: {name} is no table of numbers ({error}); {_REMEDY}") from error


def _refuse_absurd(
    file: Path, poses_T3: np.ndarray, metres_per_unit: float, largest_step_metres: float
) -> None:
    wrong = np.flatnonzero(~np.isfinite(poses_T3).all(1))
    if len(wrong):
        pose = ", ".join(f"{value:g}" for value in poses_T3[wrong[0]])
        raise UserError(
            f"{file}: the pose of frame {wrong[0]}, ({pose}), is not finite ({len(wrong)} of "
            f"{len(poses_T3)} are not); {_REMEDY}"
        )
    with np.errstate(over="ignore"):  # numbers near the largest there are: a jump like any other
        steps = np.hypot(*np.diff(poses_T3[:, :2], axis=0).T) * metres_per_unit
    far = np.flatnonzero(~(steps <= largest_step_metres))
    if len(far):
        raise UserError(
            f"{file}: from frame {far[0]} to {far[0] + 1} it jumps {steps[far[0]]:g} m, and "
            f"trajectories.largest_step_metres is {largest_step_metres:g}; correct "
            f"trajectories.metres_per_unit = {metres_per_unit:g}, raise the bound, or {_REMEDY}"
        )
