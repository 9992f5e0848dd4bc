"""Poses on the ground plane: where a camera stands, where it looks, and steps between two of them.

x and y are metres on the ground, yaw turns counter-clockwise seen from above, in degrees from the
x axis. A step is relative: dx ahead, dy to the left, dyaw counter-clockwise, all in the frame
before it.

A camera that moves in space is projected onto the ground: z of its world points up, and its own
axes are those of cameras (x right, y down, z ahead), so that the yaw is the heading of its z axis.
Height, pitch and roll are lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_HORIZONTAL = 0.02
"""Of a unit vector: a camera within about a degree of the vertical has no heading."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A place and a heading; yaw turns counter-clockwise from east."""

    x_metres: float
    y_metres: float
    yaw_degrees: float


def relative_pose(previous: Pose, pose: Pose) -> tuple[float, float, float]:
    """(dx ahead, dy left, dyaw in (-180, 180]) of ``pose`` seen from ``previous``."""
    yaw = math.radians(previous.yaw_degrees)
    east, north = pose.x_metres - previous.x_metres, pose.y_metres - previous.y_metres
    dx = east * math.cos(yaw) + north * math.sin(yaw)
    dy = north * math.cos(yaw) - east * math.sin(yaw)
    dyaw = 180.0 - (180.0 - pose.yaw_degrees + previous.yaw_degrees) % 360.0
    return dx, dy, dyaw


def compose(pose: Pose, step: tuple[float, float, float]) -> Pose:
    """The pose after ``step``: the inverse of :func:`relative_pose`."""
    dx, dy, dyaw = step
    yaw = math.radians(pose.yaw_degrees)
    return Pose(
        pose.x_metres + dx * math.cos(yaw) - dy * math.sin(yaw),
        pose.y_metres + dx * math.sin(yaw) + dy * math.cos(yaw),
        (pose.yaw_degrees + dyaw) % 360.0,
    )


def heading_radians(quaternion_xyzw: Sequence[float]) -> float:
    """Yaw of a camera whose orientation turns its own axes into the world's.

    With R the rotation of the unit quaternion, the camera looks along f = R (0, 0, 1), and the yaw
    is atan2(f_y, f_x).

    Raises:
        ValueError: no rotation at all, or the camera looks straight up or down.
    """
    length = math.hypot(*quaternion_xyzw)
    if not 0.9 < length < 1.1:
        raise ValueError(f"quaternion {list(quaternion_xyzw)} does not have length 1")
    x, y, z, w = (part / length for part in quaternion_xyzw)
    ahead_x, ahead_y = 2 * (x * z + w * y), 2 * (y * z - w * x)
    if math.hypot(ahead_x, ahead_y) < _LEAST_HORIZONTAL:
        raise ValueError("the camera looks straight up or down and has no heading")
    return math.atan2(ahead_y, ahead_x)
