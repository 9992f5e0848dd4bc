"""Error of a planned trajectory against the true one: ATE and RPE, as ``evo`` computes them.

The protocol is that of Navigation World Models: positions after each step (the start, which both
share, is left out), no alignment and no scaling, translation only, and steps of one frame. All
poses get one orientation, so that RPE compares steps on the ground and not in each walker's frame:

    ATE = sqrt(mean_s |p_s - q_s|²),   RPE = sqrt(mean_s |(p_{s+1} - p_s) - (q_{s+1} - q_s)|²).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chiasm.errors import UserError
from chiasm.poses import Pose, relative_pose

if TYPE_CHECKING:
    from evo.core.trajectory import PoseTrajectory3D


@dataclass(frozen=True, slots=True)
class TrajectoryError:
    """Distances between a planned trajectory and the true one."""

    ate_metres: float
    rpe_metres: float
    end_metres: float
    """Distance between the two ends."""
    end_degrees: float
    """Angle between the headings at the end, from 0 to 180."""


def refuse_missing_evo() -> None:
    """Checks that evo is installed, before anything expensive runs.

    Raises:
        UserError: evo is not installed.
    """
    try:
        import evo.core.metrics  # noqa: F401
    except ImportError as error:
        raise UserError(
            "trajectory errors are computed by evo, which is not installed: "
            "pip install 'chiasm[world]'"
        ) from error


def trajectory_error(planned: Sequence[Pose], truth: Sequence[Pose]) -> TrajectoryError:
    """Returns ATE, RPE and the error at the end; both lists are poses after each of S >= 2 steps.

    Raises:
        UserError: evo is not installed.
        ValueError: the lists differ in length, are too short, or have a number that is not finite.
    """
    if len(planned) != len(truth) or len(truth) < 2:
        raise ValueError(f"{len(planned)} planned and {len(truth)} true poses; give two or more")
    refuse_missing_evo()
    from evo.core.metrics import APE, RPE, PoseRelation, StatisticsType, Unit

    pair = _evo(truth), _evo(planned)
    absolute = APE(PoseRelation.translation_part)
    relative = RPE(PoseRelation.translation_part, delta=1, delta_unit=Unit.frames)
    values = []
    for metric in (absolute, relative):
        metric.process_data(pair)
        values.append(float(metric.get_statistic(StatisticsType.rmse)))
    dx, dy, dyaw = relative_pose(truth[-1], planned[-1])
    return TrajectoryError(values[0], values[1], math.hypot(dx, dy), abs(dyaw))


def write_tum(poses: Sequence[Pose], path: Path) -> None:
    """Writes poses as lines ``frame x y 0 0 0 0 1``: TUM format, which evo_ape and evo_rpe read."""
    lines = [f"{n} {pose.x_metres!r} {pose.y_metres!r} 0 0 0 0 1" for n, pose in enumerate(poses)]
    path.write_text("\n".join(lines) + "\n")


def _evo(poses: Sequence[Pose]) -> PoseTrajectory3D:
    from evo.core.trajectory import PoseTrajectory3D

    positions = np.array([(pose.x_metres, pose.y_metres, 0.0) for pose in poses])
    if not np.isfinite(positions).all():
        raise ValueError("a trajectory has a position that is not finite")
    upright = np.tile([1.0, 0.0, 0.0, 0.0], (len(poses), 1))
    return PoseTrajectory3D(positions, upright, np.arange(len(poses), dtype=np.float64))
