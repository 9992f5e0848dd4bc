"""The instructed walks of a map: goals, and the poses of the expert on its way to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chiasm.poses import Pose
from chiasm.worlds.instructions.expert import plan
from chiasm.worlds.instructions.goals import (
    HELD_OUT_GOALS,
    KINDS_OF_GOAL,
    PLACES,
    Goal,
    possible_goals,
)
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.maps import Map
from chiasm.worlds.settings import HELD_OUT_FIRST_SEED

_KEY = 3  # maps are drawn with 1 and numeric walks with 2
_HELD_OUT_GOAL_SHARE = 0.25  # of the walks on maps that are held out
_SEEN_FROM_AFAR = ("object", *PLACES, "leave")
_TOWARDS_SHARE = 2 / 3
_TOWARDS_DEGREES = 30.0  # off the middle of a picture that sees 73.7
_TRIES = 8
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class PlannedWalk:
    """A goal and the expert's poses, from where the instruction is given to where it is met."""

    goal: Goal
    poses: tuple[Pose, ...]


def draw_walks(world_map: Map, settings: InstructionSettings, world_seed: int) -> list[PlannedWalk]:
    """Returns the map's walks: kinds of goals in turn, as far as the map has them, from anywhere.

    Training maps (by their seed) have none of :data:`HELD_OUT_GOALS`.
    """
    rng = np.random.default_rng([world_seed, world_map.seed, _KEY])
    ground = Ground(world_map)
    held_out_map = world_map.seed >= HELD_OUT_FIRST_SEED
    walks = []
    for number in range(settings.walks_per_map):
        novel = held_out_map and rng.random() < _HELD_OUT_GOAL_SHARE
        kind = KINDS_OF_GOAL[(number + world_map.seed) % len(KINDS_OF_GOAL)]
        walks.append(_draw(ground, kind, novel, settings.steps, rng))
    return walks


def _draw(
    ground: Ground, kind: str, novel: bool, steps: tuple[int, int], rng: np.random.Generator
) -> PlannedWalk:
    """Returns a walk of the kind, or after some tries of any kind."""
    tries = 0
    while True:
        walk = _try(ground, kind if tries < _TRIES else "", novel, steps, rng)
        if walk:
            return walk
        tries += 1
        if tries >= 2 * _TRIES:  # the map has hardly any goal that is held out
            novel = False


def _try(
    ground: Ground, kind: str, novel: bool, steps: tuple[int, int], rng: np.random.Generator
) -> PlannedWalk | None:
    start = ground.draw_pose(rng)
    goals = [
        goal
        for goal in possible_goals(ground.map, start)
        if (goal in HELD_OUT_GOALS) == novel and kind in ("", goal.kind)
    ]
    for number in rng.permutation(len(goals))[:_AT_ONCE]:
        poses = plan(ground, goals[number], start, steps[1])
        if poses and goals[number].kind in _SEEN_FROM_AFAR and rng.random() < _TOWARDS_SHARE:
            poses = plan(ground, goals[number], _towards(poses[-1], start, rng), steps[1])
        if poses and len(poses) > steps[0]:
            return PlannedWalk(goals[number], tuple(poses))
    return None


def _towards(end: Pose, start: Pose, rng: np.random.Generator) -> Pose:
    """Returns the start, turned roughly towards the end: views do not show what is behind."""
    east, north = end.x_metres - start.x_metres, end.y_metres - start.y_metres
    off = float(rng.uniform(-_TOWARDS_DEGREES, _TOWARDS_DEGREES))
    yaw = math.degrees(math.atan2(north, east)) + off
    return Pose(start.x_metres, start.y_metres, round(yaw, 3) % 360.0)
