"""One small world of each split, rendered once for all tests of this folder."""

from pathlib import Path

import pytest

from chiasm.documents import Split
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.world import World


@pytest.fixture(scope="session")
def settings() -> WorldSettings:
    return WorldSettings(
        train_maps=10,  # more than one archive
        held_out_maps=3,
        views_per_map=20,
        walks_per_map=2,
        frames_per_walk=6,
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="session")
def train(settings: WorldSettings, cache: Path) -> World:
    return render_worlds(settings, Split.TRAIN, cache)


@pytest.fixture(scope="session")
def held_out(settings: WorldSettings, cache: Path) -> World:
    return render_worlds(settings, Split.HELD_OUT, cache)
