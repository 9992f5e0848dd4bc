"""Poses on the ground plane: where a camera stands, where it looks, and steps between two of them.

x and y are metres on the ground, yaw turns counter-clockwise seen from above, in degrees from the
x axis. A step is relative: dx ahead, dy to the left, dyaw counter-clockwise, all in the frame
before it. Half a turn is +180, never -180: equal turns are equal numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pose:
    """A place and a heading; yaw turns counter-clockwise from east."""

    x_metres: float
    y_metres: float
    yaw_degrees: float


def relative_pose(previous: Pose, pose: Pose) -> tuple[float, float, float]:
    """Returns ``pose`` in the frame of ``previous``: (dx ahead, dy left, dyaw in (-180, 180])."""
    yaw = math.radians(previous.yaw_degrees)
    east, north = pose.x_metres - previous.x_metres, pose.y_metres - previous.y_metres
    dx = east * math.cos(yaw) + north * math.sin(yaw)
    dy = north * math.cos(yaw) - east * math.sin(yaw)
    # The remainder of a tiny negative number rounds to 360.0; that of 360.0 is 0.
    dyaw = 180.0 - (180.0 - pose.yaw_degrees + previous.yaw_degrees) % 360.0 % 360.0
    return dx, dy, dyaw


def compose(pose: Pose, step: tuple[float, float, float]) -> Pose:
    """Returns the pose after ``step``: the inverse of :func:`relative_pose`."""
    dx, dy, dyaw = step
    yaw = math.radians(pose.yaw_degrees)
    return Pose(
        pose.x_metres + dx * math.cos(yaw) - dy * math.sin(yaw),
        pose.y_metres + dx * math.sin(yaw) + dy * math.cos(yaw),
        (pose.yaw_degrees + dyaw) % 360.0 % 360.0,
    )


def wrap_degrees(angle: float) -> float:
    """Returns the equal turn in (-180, 180]; an angle in that range is returned bit for bit."""
    return angle if -180.0 < angle <= 180.0 else 180.0 - (180.0 - angle) % 360.0 % 360.0
