import math

import numpy as np
import pytest

from chiasm.poses import Pose
from chiasm.worlds.instructions.expert import wander
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map


def test_free_places_are_the_maps_own():
    world_map = generate_map(0, 2)
    ground = Ground(world_map)
    rng = np.random.default_rng(0)
    for _ in range(300):
        x, y = (int(value) for value in rng.integers(-50, 1500, 2))
        assert ground.is_free(x / UNITS_PER_METRE, y / UNITS_PER_METRE) == world_map.is_free(x, y)
    for _ in range(30):
        pose = ground.draw_pose(rng)
        assert ground.is_free(pose.x_metres, pose.y_metres)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_lower_bounds_and_go_around_walls(seed: int):
    world_map = generate_map(0, seed)
    ground = Ground(world_map)
    rng = np.random.default_rng(seed)
    thing = world_map.things[0]
    area = world_map.rooms[thing.room].area
    distances = ground.distances([(area, thing.x, thing.y, 115.0)])
    starts = 0
    for _ in range(400):
        pose = ground.draw_pose(rng)
        x, y = pose.x_metres * UNITS_PER_METRE, pose.y_metres * UNITS_PER_METRE
        if not area.holds(x, y) or math.hypot(x - thing.x, y - thing.y) > 115:
            continue
        starts += 1
        # Who walks away from the goal has no longer way back.
        for walked, after in enumerate(wander(ground, pose, 15, rng)):
            assert distances.metres(after) <= walked
    assert starts > 2
    behind_walls = 0
    for _ in range(60):
        pose = ground.draw_pose(rng)
        straight = math.hypot(
            pose.x_metres - thing.x / UNITS_PER_METRE, pose.y_metres - thing.y / UNITS_PER_METRE
        )
        behind_walls += straight < distances.metres(pose) < math.inf
    assert behind_walls > 0
    assert distances.metres(Pose(-99.0, -99.0, 0.0)) == math.inf
