"""An engine over a small model, and a demo page that is really served."""

import base64
import io
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image as PillowImage

from chiasm.data.tokenizer import TextTokenizer
from chiasm.demo.answers import Answers, Told
from chiasm.demo.engine import Engine
from chiasm.demo.server import routes
from chiasm.demo.walks import LaterWalks
from chiasm.documents import Text
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.walks import WalkDocuments
from chiasm.loopback.replies import EVENTS, Reply, Route
from chiasm.loopback.server import LoopbackServer
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.sound.kinds import MdctSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.walk.answers import Answers as WalkAnswers
from chiasm.walk.answers import Opening
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.walker import Walker

ENDLESS = (
    [Request((Text("a"),), seed, opens=True) for seed in range(4)],
    SamplingSettings(max_tokens=0, steps=1_000_000),
)


def picture_file(width: int = 40, height: int = 30, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    PillowImage.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def encoded() -> str:
    """A picture file in base64."""
    return base64.b64encode(picture_file()).decode()


@pytest.fixture(scope="session")
def model(world_model: Pretrained) -> Pretrained:
    """A model of documents of three views."""
    return replace(world_model, walks=WalkDocuments(views=3))


@pytest.fixture
def engine(model: Pretrained) -> Iterator[Engine]:
    """Four rows, so that a few requests fill them."""
    with Engine(model, rows=4) as running:
        yield running


@pytest.fixture(scope="session")
def server(model: Pretrained) -> Iterator[LoopbackServer]:
    """The page of the model, whose walk begins with a picture, and a drawing without an end."""
    shape = model.vision_tokenizer.image_shape
    start: Start = given_picture(picture_file(), shape, "red.png")
    with LoopbackServer(("127.0.0.1", 0)) as served, Engine(model, rows=4) as engine:
        walker = Walker(model, SamplingSettings(steps=2, guidance=1), engine=engine)
        walks = LaterWalks(lambda: WalkAnswers(walker, Starts(shape), Opening("some-run", start)))
        of_page = routes(Answers(engine, "some-run"), walks)
        endless = Route("GET", "/endless", lambda q: Reply(Told(engine.submit(*ENDLESS)), EVENTS))
        thread = threading.Thread(target=served.serve_routes, args=([*of_page, endless],))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def heard() -> Pretrained:
    """Random weights over pictures and sounds of 0.2 seconds."""
    sound = MdctSettings(rate=8000, seconds=0.2, token_samples=400).open()
    tokenizers = StreamTokenizers(
        {"image": pixel_tokenizer(image_pixels=8, patch_pixels=4), "sound": sound}
    )
    text = TextTokenizer.train(["a door closes"], 300, streams=["sound"])
    settings = ModelSettings(width=32, depth=1, query_heads=4, key_value_heads=2)
    decoder = Decoder(settings, vocabulary=text.vocabulary_size, streams=tokenizers.streams, seed=0)
    decoder = decoder.eval().requires_grad_(False)
    return Pretrained(decoder, text, tokenizers, FlowSettings(), 200)
