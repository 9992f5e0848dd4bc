"""Proposals of a planner: distributions over paths of S steps that are refitted to the best ones.

A straight path is one constant motion and a last turn (three numbers); a path of steps chooses each
step among the kinds of steps in the training walks.

Shape suffixes: N paths, S steps, K kinds of steps, M recorded motions, B cells of motions; 3 is
(dx, dy, dyaw) in metres and degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from chiasm.actions import Action, ActionFormat
from chiasm.capabilities import PosedVideos
from chiasm.errors import UserError
from chiasm.poses import relative_pose

MOST_MOTIONS = 4096
MOST_KINDS = 64
_MOST_TRIED = 1 << 16
"""Paths among which the one that leads to a pose is sought."""
_NEAR = 0.25
"""Steps that differ by less than this share of the root mean square step are of one kind."""
_FINENESS = 0.25
"""Size of the cells in which steps are first counted, as a share of the reach of a kind."""


class Proposal(Protocol):
    """A distribution over paths; immutable."""

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns ``count`` paths as numbers: [N, ...]."""

    def actions(self, path: np.ndarray) -> list[Action]:
        """Returns the steps of one drawn path."""

    def refit(self, paths: np.ndarray, weight_N: np.ndarray, inertia: float) -> Proposal:
        """Returns a fit to weighted paths; ``inertia`` is the old distribution's share in it."""

    def centre(self) -> np.ndarray:
        """Returns the one path that summarises the distribution."""

    def log_density(self, paths: np.ndarray) -> np.ndarray:
        """Returns the log probability (density) of each path, up to a constant: [N]."""

    def leading_to(self, end_3: np.ndarray) -> np.ndarray:
        """Returns the path to a relative pose, known within a share of a step: the most usual one
        of those that end near it.
        """


@dataclass(frozen=True, eq=False)
class StraightPaths:
    """Normal distributions of a motion repeated S times, and of a turn after the last.

    As in Navigation World Models the heading follows the motion: the first step turns towards it. A
    path is (dx, dy) of each step in the frame of the start, in metres, and the last turn in
    degrees.
    """

    mean_3: np.ndarray
    deviation_3: np.ndarray
    num_steps: int
    horizon_frames: int = 1

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns paths [N, 3]."""
        return rng.normal(self.mean_3, self.deviation_3, (count, 3))

    def actions(self, path: np.ndarray) -> list[Action]:
        """Returns S steps along a straight line, with the turns in the first and the last."""
        dx, dy, turn = path.tolist()
        heading = math.degrees(math.atan2(dy, dx))
        steps = [(dx, dy, heading)] + [(math.hypot(dx, dy), 0.0, 0.0)] * (self.num_steps - 1)
        ahead, left, yaw = steps[-1]
        steps[-1] = (ahead, left, 180.0 - (180.0 - yaw - turn) % 360.0)
        return [Action(x, y, angle, self.horizon_frames) for x, y, angle in steps]

    def refit(self, paths: np.ndarray, weight_N: np.ndarray, inertia: float) -> StraightPaths:
        """Returns the weighted mean and (unbiased) deviation of the paths, mixed with the old."""
        weight_N1 = (weight_N / weight_N.sum())[:, None]
        mean_3 = (weight_N1 * paths).sum(0)
        lost = 1 - float((weight_N1**2).sum())  # 1 / N for equal weights
        variance_3 = (weight_N1 * (paths - mean_3) ** 2).sum(0) / lost if lost > 0 else 0 * mean_3
        return replace(
            self,
            mean_3=inertia * self.mean_3 + (1 - inertia) * mean_3,
            deviation_3=inertia * self.deviation_3 + (1 - inertia) * np.sqrt(variance_3),
        )

    def centre(self) -> np.ndarray:
        """Returns the mean: [3]."""
        return self.mean_3

    def log_density(self, paths: np.ndarray) -> np.ndarray:
        """Returns the log density under the normal distributions, up to a constant: [N]."""
        deviation_3 = np.maximum(self.deviation_3, 1e-9)
        log_N: np.ndarray = -0.5 * (((paths - self.mean_3) / deviation_3) ** 2).sum(1)
        return log_N

    def leading_to(self, end_3: np.ndarray) -> np.ndarray:
        """Returns the straight path there: [3]."""
        dx, dy, yaw = end_3.tolist()
        turn = yaw - math.degrees(math.atan2(dy, dx))
        return np.array([dx / self.num_steps, dy / self.num_steps, turn])


@dataclass(frozen=True, eq=False)
class StepPaths:
    """Independent choices of one of K kinds at each step; a path is S numbers of kinds."""

    kinds_K3: np.ndarray
    share_SK: np.ndarray
    horizon_frames: int = 1

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns paths [N, S]."""
        # Inverse of the cumulative shares at each step; the minimum guards against a sum that
        # rounds to less than 1.
        level_NS1 = rng.random((count, len(self.share_SK)))[..., None]
        below_NSK = self.share_SK.cumsum(1)[None] < level_NS1
        return np.minimum(below_NSK.sum(2), len(self.kinds_K3) - 1)

    def actions(self, path: np.ndarray) -> list[Action]:
        """Returns the S steps of a path, each the mean motion of its kind."""
        steps = self.kinds_K3[path].tolist()
        return [Action(dx, dy, dyaw, self.horizon_frames) for dx, dy, dyaw in steps]

    def refit(self, paths: np.ndarray, weight_N: np.ndarray, inertia: float) -> StepPaths:
        """Returns the weighted shares of the kinds at each step, mixed with the old ones."""
        share_SK = np.stack(
            [
                np.bincount(kinds_N, weight_N, len(self.kinds_K3)) / weight_N.sum()
                for kinds_N in paths.T
            ]
        )
        return replace(self, share_SK=inertia * self.share_SK + (1 - inertia) * share_SK)

    def centre(self) -> np.ndarray:
        """Returns the most probable kind of each step: [S]."""
        return self.share_SK.argmax(1)

    def log_density(self, paths: np.ndarray) -> np.ndarray:
        """Returns the sum over steps of the logarithm of the kind's share: [N]."""
        share_NS = self.share_SK[np.arange(len(self.share_SK)), paths]
        log_N: np.ndarray = np.log(np.maximum(share_NS, 1e-12)).sum(1)
        return log_N

    def leading_to(self, end_3: np.ndarray) -> np.ndarray:
        """Returns the path of the highest posterior probability: its prior, times a normal
        distribution of its end around ``end_3`` whose deviation is the reach of a kind.

        All paths are tried, or where they are too many, draws of the prior.
        """
        num_steps, num_kinds = self.share_SK.shape
        if num_kinds**num_steps <= _MOST_TRIED:
            paths_NS = np.indices((num_kinds,) * num_steps).reshape(num_steps, -1).T
        else:
            paths_NS = self.draw(_MOST_TRIED, np.random.default_rng(0))
        away_N3 = self._ends(paths_NS) - end_3
        away_N3[:, 2] = 180.0 - (180.0 - away_N3[:, 2]) % 360.0
        reach_3 = reach_of(self.kinds_K3, self.share_SK[0])
        log_N = self.log_density(paths_NS) - 0.5 * ((away_N3 / reach_3) ** 2).sum(1)
        best: np.ndarray = paths_NS[log_N.argmax()]
        return best

    def _ends(self, paths_NS: np.ndarray) -> np.ndarray:
        """Returns the pose after the last step, in the frame of the start: [N, 3]."""
        end_N3 = np.zeros((len(paths_NS), 3))
        for kind_N in paths_NS.T:
            dx_N, dy_N, turn_N = self.kinds_K3[kind_N].T
            heading_N = np.radians(end_N3[:, 2])
            end_N3[:, 0] += np.cos(heading_N) * dx_N - np.sin(heading_N) * dy_N
            end_N3[:, 1] += np.sin(heading_N) * dx_N + np.cos(heading_N) * dy_N
            end_N3[:, 2] += turn_N
        return end_N3


def motions(source: PosedVideos, span: int = 1) -> np.ndarray:
    """Returns relative poses of frames ``span`` steps apart, evenly from all walks: float64 [M, 3].

    Raises:
        UserError: no walk is so long.
    """
    pairs = [pair for walk in source.walks for pair in zip(walk, walk[span:], strict=False)]
    if not pairs:
        why, remedy = f"longer than every walk of source {source.name!r}", "give longer walks"
        raise UserError(f"is {why}", setting="steps", value=span, remedy=f"lower it, or {remedy}")
    chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_MOTIONS)).round().astype(int)
    return np.array(
        [relative_pose(source.pose(pairs[n][0]), source.pose(pairs[n][1])) for n in chosen]
    )


def horizon_of(source: PosedVideos, actions: ActionFormat) -> int:
    """Returns the horizon in frames of a source's actions, read from the first one."""
    walk = next(walk for walk in source.walks if len(walk) > 1)
    return actions.read(source.action(walk[0], walk[1])).horizon_frames


def straight_prior(motions_M3: np.ndarray, num_steps: int, horizon_frames: int) -> StraightPaths:
    """Returns mean and deviation of the ends and last turns of walks of S steps, as if straight."""
    ends_M2 = motions_M3[:, :2]
    heading_M = np.degrees(np.arctan2(ends_M2[:, 1], ends_M2[:, 0]))
    turn_M = 180.0 - (180.0 - motions_M3[:, 2] + heading_M) % 360.0
    paths_M3 = np.column_stack([ends_M2 / num_steps, turn_M])
    return StraightPaths(paths_M3.mean(0), paths_M3.std(0), num_steps, horizon_frames)


def step_prior(motions_M3: np.ndarray, num_steps: int, horizon_frames: int) -> StepPaths:
    """Returns the most frequent kinds of steps, each the mean of its members, and their shares.

    From frequent to rare, a step joins the first kind that differs from it by less than a quarter
    of the root mean square step and turn, or founds a new one: walks with few distinct motions give
    exactly those, others a coarse cover.
    """
    reach_3 = reach_of(motions_M3)
    # Equal motions differ in their last bits: counting in small cells first merges them, and leaves
    # few candidates for the greedy pass, which compares each one with every kind found so far.
    cell_M3 = np.round(motions_M3 / reach_3 / _FINENESS)
    _, cell_M, count_B = np.unique(cell_M3, axis=0, return_inverse=True, return_counts=True)
    cell_M = cell_M.reshape(-1)
    centres: list[np.ndarray] = []
    kind_M = np.zeros(len(motions_M3), int)
    for cell in np.argsort(-count_B, kind="stable"):
        members_M = cell_M == cell
        centre = motions_M3[members_M].mean(0)
        near = (n for n, other in enumerate(centres) if (abs(centre - other) < reach_3).all())
        kind = next(near, len(centres))
        if kind == len(centres):
            centres.append(centre)
        kind_M[members_M] = kind
    count_K = np.bincount(kind_M)
    # Means over all members, not the founding cell alone: the kind stands for every step that
    # joined.
    often_K = np.argsort(-count_K, kind="stable")[:MOST_KINDS]
    kinds_K3 = np.stack([motions_M3[kind_M == kind].mean(0) for kind in often_K])
    share_K = count_K[often_K] / count_K[often_K].sum()
    return StepPaths(kinds_K3, np.tile(share_K, (num_steps, 1)), horizon_frames)


def reach_of(motions_M3: np.ndarray, weight_M: np.ndarray | None = None) -> np.ndarray:
    """Returns by how much motions of one kind may differ: [3], metres and degrees."""
    squares_M3 = np.average(motions_M3**2, axis=0, weights=weight_M)
    metres, degrees = math.sqrt(squares_M3[:2].sum()), math.sqrt(squares_M3[2])
    return _NEAR * np.array([metres or 1.0, metres or 1.0, degrees or 1.0])


def mean_stride(motions_M3: Sequence[Sequence[float]] | np.ndarray) -> float:
    """Returns the mean length of a step, in metres."""
    return float(np.hypot(*np.asarray(motions_M3)[:, :2].T).mean())
