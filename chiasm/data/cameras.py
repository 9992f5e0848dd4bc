"""Poses of cameras in space, and the ground that they are projected onto.

A convention says where the axes x, y and z point, in three letters of F (ahead), B (back), L, R,
U and D: a camera of OpenCV is RDF. There is one for the camera's own axes and one for the world's.
With C and W the matrices whose columns are those directions in (F, L, U), M a recorded orientation
(it turns the camera's axes into the world's) and p a recorded position,

    R = W M Cᵀ,    (x, y, z) = W p,    yaw = atan2(f_y, f_x)  with  f = R (1, 0, 0).

Height, pitch and roll are lost. Of poses that are recorded as world to camera, M and p are those
of the inverse: Mᵀ and -Mᵀ p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from chiasm.settings import Settings

CONVENTIONS = {
    "opencv": "RDF",
    "opengl": "RUB",
    "ros": "FLU",
    "ned": "FRD",
    "enu": "RFU",
    "pytorch3d": "LUF",
}
_DIRECTIONS = {
    "F": (1.0, 0.0, 0.0),
    "B": (-1.0, 0.0, 0.0),
    "L": (0.0, 1.0, 0.0),
    "R": (0.0, -1.0, 0.0),
    "U": (0.0, 0.0, 1.0),
    "D": (0.0, 0.0, -1.0),
}
_LEAST_LEVEL = 0.02
"""Horizontal part of a unit vector: within about a degree of the vertical, no heading."""
_LENGTH_ERROR = 0.05
"""Tolerance of the length 1 of quaternions and of rotations' columns, which text rounds."""


class PoseSettings(Settings):
    """How the numbers of recorded poses are understood."""

    metres_per_unit: float = Field(1.0, gt=0, allow_inf_nan=False)
    """What one unit of the recorded positions is, in metres."""
    largest_step_metres: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Between two recorded frames; a farther one is taken for an error."""
    camera_axes: str = ""
    """Where the camera's own x, y and z point: opencv, opengl, ros, ned, pytorch3d, or letters
    such as RDF; empty: as the layout has it. What is named here may look aside or back."""
    world_axes: str = ""
    """The same of the world: ros, enu, ned, opencv, opengl, or letters; empty: as the layout."""
    quaternion_order: Literal["", "xyzw", "wxyz"] = ""
    """Empty: as the layout has it."""
    pose: Literal["camera_to_world", "world_to_camera"] = "camera_to_world"
    """What a matrix, or a position and quaternion, does; ``world_to_camera`` is inverted."""
    yaw_unit: Literal["radians", "degrees"] = "radians"
    """Of ``yaw`` in traj_data files."""
    time_tolerance_seconds: float = Field(0.02, gt=0)
    """Farthest that a pose may lie from its frame where both have times; none is interpolated."""

    @field_validator("camera_axes", "world_axes")
    @classmethod
    def _check_axes(cls, value: str) -> str:
        if value:
            axes_matrix(value)
        return value


def axes_matrix(convention: str) -> np.ndarray:
    """Returns float64 [3, 3]: columns are where x, y and z point, in (ahead, left, up).

    Raises:
        ValueError: no convention, or a left-handed one.
    """
    letters = CONVENTIONS.get(convention, convention)
    if len(letters) != 3 or not set(letters) <= set(_DIRECTIONS):
        raise ValueError(
            f"{convention!r} is no convention of axes; choose one of {', '.join(CONVENTIONS)}, or "
            "say where x, y and z point in three letters of F, B, L, R, U, D, such as RDF"
        )
    matrix = np.array([_DIRECTIONS[letter] for letter in letters]).T
    determinant = round(float(np.linalg.det(matrix)))
    if determinant == 0:
        raise ValueError(f"axes {convention!r} name one direction twice; each needs its own")
    if determinant < 0:
        raise ValueError(
            f"axes {convention!r} are left-handed, and orientations would be mirrored; write the "
            "recording in right-handed axes, or correct the letters"
        )
    return matrix


@dataclass(frozen=True)
class GroundWalk:
    """A camera's path in a world of axes (ahead, left, up), and its projection onto the ground."""

    position_T3: np.ndarray
    rotation_T33: np.ndarray

    @property
    def poses_T3(self) -> np.ndarray:
        """float64 [T, 3]: x, y in the recorded unit, yaw in radians."""
        forward_T3 = self.rotation_T33[:, :, 0]
        yaw_T = np.arctan2(forward_T3[:, 1], forward_T3[:, 0])
        return np.column_stack([self.position_T3[:, :2], yaw_T])

    @property
    def without_heading(self) -> np.ndarray:
        """Numbers of the frames that look straight up or down."""
        level_T = np.hypot(self.rotation_T33[:, 0, 0], self.rotation_T33[:, 1, 0])
        return np.flatnonzero(level_T < _LEAST_LEVEL)


@dataclass(frozen=True)
class CameraPoses:
    """Positions and orientations as recorded, and the conventions of their layout."""

    position_T3: np.ndarray
    orientation: np.ndarray
    """Quaternions [T, 4], or rotations [T, 3, 3]; they turn the camera's axes into the world's."""
    camera_axes: str = "opencv"
    world_axes: str = "ros"
    quaternion_order: str = "xyzw"

    def __len__(self) -> int:
        return len(self.position_T3)

    def axes(self, settings: PoseSettings) -> tuple[str, str]:
        """Returns the conventions of camera and world: the settings' own, else the layout's."""
        return settings.camera_axes or self.camera_axes, settings.world_axes or self.world_axes

    def on_ground(self, settings: PoseSettings) -> GroundWalk:
        """Returns the path in (ahead, left, up); units are as recorded."""
        camera, world = (axes_matrix(convention) for convention in self.axes(settings))
        rotation_T33 = self.orientation
        if rotation_T33.ndim == 2:
            order = settings.quaternion_order or self.quaternion_order
            rotation_T33 = _rotations(rotation_T33, order)
        position_T3 = self.position_T3
        if settings.pose == "world_to_camera":
            # The inverse of x -> M x + p is x -> Mᵀ x - Mᵀ p.
            rotation_T33 = rotation_T33.transpose(0, 2, 1)
            position_T3 = -(rotation_T33 @ position_T3[:, :, None])[:, :, 0]
        return GroundWalk(position_T3 @ world.T, world @ rotation_T33 @ camera.T)

    def wrong_orientation(self) -> tuple[int, str] | None:
        """Returns the first frame whose numbers are no rotation, and why; None where all are."""
        if self.orientation.ndim == 2:
            length_T = np.linalg.norm(self.orientation, axis=1)
            wrong = np.flatnonzero(~(np.abs(length_T - 1) < 2 * _LENGTH_ERROR))
            if not len(wrong):
                return None
            number = int(wrong[0])
            numbers = ", ".join(f"{value:g}" for value in self.orientation[number])
            return number, f"quaternion ({numbers}) does not have length 1"
        products_T33 = self.orientation.transpose(0, 2, 1) @ self.orientation
        square = np.abs(products_T33 - np.eye(3)).max((1, 2)) < _LENGTH_ERROR
        determinant_T = np.linalg.det(self.orientation)
        wrong = np.flatnonzero(~square | (determinant_T < 0))
        if not len(wrong):
            return None
        number = int(wrong[0])
        if square[number]:
            return number, "the matrix is left-handed (it mirrors): one of its axes is reversed"
        return number, "the matrix is no rotation: its columns are not at right angles, of length 1"


def _rotations(quaternion_T4: np.ndarray, order: str) -> np.ndarray:
    """Returns the rotations of quaternions of about length 1: float64 [T, 3, 3]."""
    unit_T4 = quaternion_T4 / np.linalg.norm(quaternion_T4, axis=1, keepdims=True)
    x, y, z, w = (unit_T4 if order == "xyzw" else np.roll(unit_T4, -1, axis=1)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + w * y)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
