"""Walks through the engine's own maps: what is recorded is what was walked."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.worlds.freedoom import FreedoomWalker, record_freedoom


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walks") / "freedoom"
    record_freedoom(folder, num_maps=2, walks_per_map=2, num_frames=8, image_pixels=32, seed=0)
    return folder


def test_frames_and_poses_are_read_as_recorded_walks(walks: Path) -> None:
    names = [path.name for path in sorted(walks.iterdir())]
    assert names == ["map01_00", "map01_01", "map02_00", "map02_01"]
    for folder in walks.iterdir():
        described = json.loads((folder / "traj_data.json").read_text())
        assert np.shape(described["position"]) == (8, 2)
        steps = np.linalg.norm(np.diff(described["position"], axis=0), axis=1)
        assert steps.max() < 1.5  # down a stair
        frames = [np.asarray(Image.open(folder / f"{number}.png")) for number in range(8)]
        assert {frame.shape for frame in frames} == {(32, 32, 3)}
        assert len({frame.tobytes() for frame in frames}) > 4


def test_a_push_is_a_metre_and_a_turn_is_exact() -> None:
    with FreedoomWalker() as walker:
        walker.open_map(0)
        before = walker.pose
        walker.push(1.0)
        after = walker.pose
        place = (before.x_metres, before.y_metres)
        assert math.dist(place, (after.x_metres, after.y_metres)) == pytest.approx(1, abs=0.1)
        walker.turn(40.0)
        turned = (walker.pose.yaw_degrees - after.yaw_degrees) % 360
        assert turned == pytest.approx(40, abs=0.2)


def test_the_same_seed_walks_the_same_way(walks: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    record_freedoom(again, num_maps=2, walks_per_map=2, num_frames=8, image_pixels=32, seed=0)
    for path in walks.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(walks)).read_bytes(), path
