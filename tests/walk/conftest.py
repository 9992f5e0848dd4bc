"""A page that is really served."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chiasm.documents import Split
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.walks import WalkDocuments
from chiasm.walk.answers import Answers, Opening
from chiasm.walk.server import WalkServer
from chiasm.walk.starts import Starts
from chiasm.walk.truth import Truth
from chiasm.walk.walker import Walker
from chiasm.worldmodel.oracle import Oracle
from chiasm.worlds.camera import WorldCamera
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource
from chiasm.worlds.world import World


@pytest.fixture(scope="session")
def walker(world_model: Pretrained, world: World) -> Iterator[Walker]:
    """A model of documents of three views, with the true views of two held-out maps."""
    model = replace(world_model, walks=WalkDocuments(views=3))
    shape = model.vision_tokenizer.image_shape
    with Oracle(WorldCamera(world.settings, world.split), model.actions, shape) as oracle:
        yield Walker(model, SamplingSettings(steps=2), Truth(oracle))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two held-out maps."""
    settings = WorldSettings(
        held_out_maps=2, views_per_map=3, walks_per_map=1, frames_per_walk=6, image_pixels=16
    )
    return render_worlds(settings, Split.HELD_OUT, tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="session")
def starts(walker: Walker, world: World) -> Starts:
    """All views of the two maps."""
    return Starts(
        walker.pretrained.vision_tokenizer.image_shape, {"maps": WorldSource(world, "action_video")}
    )


@pytest.fixture(scope="session")
def server(walker: Walker, starts: Starts) -> Iterator[WalkServer]:
    """A page that begins with the first start."""
    known = "by its report good up to 3 frames ahead"
    opening = Opening("some-run", starts[0], truth=True, instructions=True, known=known)
    served = WalkServer(("127.0.0.1", 0))
    answers = Answers(walker, starts, opening)
    thread = threading.Thread(target=served.serve, args=(answers,))
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()
