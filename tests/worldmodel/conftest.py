"""A sampler of the small random world model, and walks of the embedded world."""

import pytest

from chiasm.documents import Split
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource


@pytest.fixture(scope="session")
def sampler(world_model: Pretrained) -> Sampler:
    return Sampler(world_model)


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> dict[Split, WorldSource]:
    """Walks of the embedded world; the held-out maps fill more than one archive."""
    settings = WorldSettings(
        train_maps=4,
        held_out_maps=9,
        views_per_map=0,
        walks_per_map=2,
        frames_per_walk=6,
        image_pixels=32,
    )
    cache = tmp_path_factory.mktemp("worlds")
    return {
        split: WorldSource(render_worlds(settings, split, cache), "action_video") for split in Split
    }
