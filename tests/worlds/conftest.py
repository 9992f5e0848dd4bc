"""One small world of each split, rendered once for all tests of this folder."""

from pathlib import Path

import pytest

from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.silence import refuse_silence
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


@pytest.fixture(scope="session")
def openal() -> None:
    """Skips a test where the engine has no library of sound."""
    try:
        refuse_silence()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def sounding(settings: WorldSettings, cache: Path, openal: None) -> World:
    return render_worlds(settings.model_copy(update={"sounds": True}), Split.TRAIN, cache)


@pytest.fixture(scope="session")
def sounding_held_out(settings: WorldSettings, cache: Path, openal: None) -> World:
    return render_worlds(settings.model_copy(update={"sounds": True}), Split.HELD_OUT, cache)
