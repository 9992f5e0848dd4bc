"""The expert, which knows the map and takes the fewest steps to a goal, and a random walker.

Both take the steps of numeric walks: a turn by 20 or 40 degrees on the spot, or a metre ahead (or
back, where that is asked) with or without such a turn after it. So instructions lead to the same
frames as numeric actions do.
"""

from __future__ import annotations

import heapq
import math
from itertools import count

import numpy as np

from chiasm.poses import Pose, compose
from chiasm.worlds.instructions.goals import (
    EXPERT,
    Goal,
    bearing_degrees,
    goal_rooms,
    reached,
    relative_goal,
    room_of,
    things_named,
)
from chiasm.worlds.instructions.ground import Distances, Ground
from chiasm.worlds.maps import UNITS_PER_METRE

STRIDE_METRES = 1.0
TURNS_DEGREES = (-40.0, -20.0, 20.0, 40.0)
_TURNS_AFTER = {0.0: TURNS_DEGREES, STRIDE_METRES: (0.0, *TURNS_DEGREES)}
"""Metres ahead → the turns that may follow."""
_MOVES = [(ahead, 0.0, turn) for ahead, turns in _TURNS_AFTER.items() for turn in turns]
_TURN_COST = 0.01  # per 20 degrees: of walks with as few steps, the smoothest
_Candidate = tuple[float, int, float, Pose, tuple[Pose, ...]]
"""Cost with the remaining distance, order found, cost, pose, and the walk to it."""
_PLACE_UNITS = 20  # places as near as this, with one heading, are one state of the search


def plan(ground: Ground, goal: Goal, start: Pose, most_steps: int) -> list[Pose] | None:
    """Returns the poses of a shortest walk, ``start`` first; None above ``most_steps`` steps.

    No step comes nearer to walls or objects than ``Map.is_free`` allows.
    """
    if goal.kind in ("turn", "face"):
        walk = _turns(start, _degrees_to_turn(ground, goal, start))
    elif goal.kind == "walk":
        walk = _strides(ground, start, relative_goal(goal)[0])
    else:
        walk = _search(ground, goal, start, most_steps)
    if not walk or len(walk) > most_steps + 1:
        return None
    return walk if reached(ground.map, goal, start, walk[-1], EXPERT) else None


def wander(ground: Ground, start: Pose, num_steps: int, rng: np.random.Generator) -> list[Pose]:
    """Returns a walk of random free steps, ``start`` first: the baseline of a success rate."""
    walk = [start]
    while len(walk) <= num_steps:
        after = step(walk[-1], _MOVES[int(rng.integers(len(_MOVES)))])
        if ground.is_free_path(walk[-1], after):
            walk.append(after)
    return walk


def step(pose: Pose, move: tuple[float, float, float]) -> Pose:
    """Returns the pose after a move, on whole map units, where the engine can stand."""
    after = compose(pose, move)
    x, y = round(after.x_metres * UNITS_PER_METRE), round(after.y_metres * UNITS_PER_METRE)
    return _turned(Pose(x / UNITS_PER_METRE, y / UNITS_PER_METRE, after.yaw_degrees), 0.0)


def _turned(pose: Pose, degrees: float) -> Pose:
    yaw = round((pose.yaw_degrees + degrees) % 360.0, 3) % 360.0
    return Pose(pose.x_metres, pose.y_metres, yaw)


def _degrees_to_turn(ground: Ground, goal: Goal, start: Pose) -> float:
    if goal.kind == "turn":
        return relative_goal(goal)[2]
    here = room_of(ground.map, start)
    bearings = [
        bearing_degrees(start, thing)
        for thing in things_named(ground.map, goal.what)
        if thing.room == here
    ]
    return min(bearings, key=abs)


def _turns(start: Pose, degrees: float) -> list[Pose]:
    """Returns turns by 40 degrees, the last by 20 where that comes nearest to the whole."""
    twenties = round(abs(degrees) / 20.0)
    sign = math.copysign(1.0, degrees)
    sizes = [40.0] * (twenties // 2) + [20.0] * (twenties % 2)
    walk = [start]
    for size in sizes:
        walk.append(step(walk[-1], (0.0, 0.0, sign * size)))
    return walk


def _strides(ground: Ground, start: Pose, metres: float) -> list[Pose]:
    walk = [start]
    for _ in range(round(abs(metres) / STRIDE_METRES)):
        walk.append(step(walk[-1], (math.copysign(STRIDE_METRES, metres), 0.0, 0.0)))
        if not ground.is_free_path(walk[-2], walk[-1]):
            return []
    return walk


def _search(ground: Ground, goal: Goal, start: Pose, most_steps: int) -> list[Pose]:
    """Returns a walk found by A* over poses; the distance on foot bounds the remaining steps."""
    distances = _distances(ground, goal, start)
    ticket = count()  # of equal costs, the one found first
    front: list[_Candidate] = [(0.0, next(ticket), 0.0, start, (start,))]
    settled: set[tuple[int, int, int]] = set()
    while front:
        _, _, cost, pose, walk = heapq.heappop(front)
        if reached(ground.map, goal, start, pose, EXPERT):
            return list(walk)
        state = _state(pose)
        if state in settled:
            continue
        settled.add(state)
        for ahead, turns in _TURNS_AFTER.items():
            there = step(pose, (ahead, 0.0, 0.0))
            left = distances.metres(there) / STRIDE_METRES
            if len(walk) + left > most_steps or not ground.is_free_path(pose, there):
                continue
            for turn in turns:
                after = _turned(there, turn)
                if _state(after) not in settled:
                    spent = cost + 1.0 + _TURN_COST * abs(turn) / 20.0
                    found = (spent + left, next(ticket), spent, after, (*walk, after))
                    heapq.heappush(front, found)
    return []


def _state(pose: Pose) -> tuple[int, int, int]:
    return (
        round(pose.x_metres * UNITS_PER_METRE) // _PLACE_UNITS,
        round(pose.y_metres * UNITS_PER_METRE) // _PLACE_UNITS,
        round(pose.yaw_degrees),
    )


def _distances(ground: Ground, goal: Goal, start: Pose) -> Distances:
    rooms = ground.map.rooms
    if goal.kind == "object":
        radius = EXPERT.object_metres * UNITS_PER_METRE
        return ground.distances(
            (rooms[thing.room].area, thing.x, thing.y, radius)
            for thing in things_named(ground.map, goal.what)
        )
    areas = [rooms[number].area for number in goal_rooms(ground.map, goal, start)]
    # A disc that holds the whole room: the box alone cuts.
    return ground.distances((area, area.left, area.bottom, 1e6) for area in areas)
