import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from chiasm.poses import Pose, relative_pose
from chiasm.worlds.instructions.expert import plan, wander
from chiasm.worlds.instructions.goals import Goal, goal_rooms, possible_goals, reached
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map

pytestmark = pytest.mark.slow

MOST_STEPS = 8


def walks_of(seed: int) -> list[tuple[Ground, Goal, list[Pose]]]:
    """Every goal that the expert reaches from two places of a map."""
    ground = Ground(generate_map(0, seed))
    rng = np.random.default_rng(seed)
    found = [
        (ground, goal, plan(ground, goal, start, MOST_STEPS))
        for start in (ground.draw_pose(rng), ground.draw_pose(rng))
        for goal in possible_goals(ground.map, start)
    ]
    return [(ground, goal, walk) for ground, goal, walk in found if walk]


Walks = Callable[[int], list[tuple[Ground, Goal, list[Pose]]]]


@pytest.fixture(scope="module")
def walks() -> Walks:
    """The same of a seed, planned once."""
    return cache(walks_of)


@pytest.mark.parametrize("seed", range(6))
def test_the_expert_reaches_its_goal_in_free_steps_of_numeric_walks(walks: Walks, seed: int):
    found = walks(seed)
    assert len(found) > 10
    for ground, goal, walk in found:
        assert reached(ground.map, goal, walk[0], walk[-1])
        assert 2 <= len(walk) <= MOST_STEPS + 1
        for before, after in pairwise(walk):
            dx, dy, dyaw = relative_pose(before, after)
            assert round(abs(dyaw), 2) in (0, 20, 40)
            assert math.hypot(dx, dy) == pytest.approx(1.0, abs=0.02) or dx == dy == 0
            assert dx >= 0 or goal.kind == "walk"
            assert ground.is_free_path(before, after)


def test_a_door_is_gone_through(walks: Walks):
    passed = 0
    for seed in range(8):
        for ground, goal, walk in walks(seed):
            if goal.kind != "door":
                continue
            (room,) = goal_rooms(ground.map, goal, walk[0])
            passages = [d.area for d in ground.map.doorways if room in (d.room, d.neighbour)]
            between = (
                (1 - part) * np.array([a.x_metres, a.y_metres])
                + part * np.array([b.x_metres, b.y_metres])
                for a, b in pairwise(walk)
                for part in np.linspace(0, 1, 9)
            )
            assert any(
                area.holds(*(place * UNITS_PER_METRE)) for place in between for area in passages
            )
            passed += 1
    assert passed > 3


def test_what_takes_too_many_steps_is_no_walk():
    ground = Ground(generate_map(0, 0))
    start = ground.draw_pose(np.random.default_rng(0))
    assert len(plan(ground, Goal("turn", "around"), start, 5) or []) == 6
    assert plan(ground, Goal("turn", "around"), start, 4) is None
    far = next(
        goal
        for goal in possible_goals(ground.map, start)
        if goal.kind == "wall" and plan(ground, goal, start, 5) is None
    )
    assert plan(ground, far, start, 40) is not None


def test_a_random_walker_mostly_fails(walks: Walks):
    rng = np.random.default_rng(0)
    won = [
        reached(ground.map, goal, walk[0], wander(ground, walk[0], len(walk) - 1, rng)[-1])
        for seed in range(8)
        for ground, goal, walk in walks(seed)
    ]
    assert len(won) > 100
    assert np.mean(won) < 0.15


def test_a_random_walker_keeps_to_free_ground():
    ground = Ground(generate_map(0, 3))
    start = ground.draw_pose(np.random.default_rng(1))
    walk = wander(ground, start, 20, np.random.default_rng(1))
    assert len(walk) == 21
    assert walk[0] == start
    assert all(ground.is_free_path(a, b) for a, b in pairwise(walk))
    assert all(isinstance(pose, Pose) for pose in walk)
