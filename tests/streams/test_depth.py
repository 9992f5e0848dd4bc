"""A picture of depths beside the picture in colour: two streams of one modality in a document."""

from typing import Literal

import numpy as np
import pytest
import torch

from chiasm.assembly import train_run
from chiasm.data.source import SOURCES, Opened, SourceFacts, SourceSettings
from chiasm.documents import Continuous, Document, Image, Text
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request
from chiasm.inference.sampler import Sampler
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.parts import Decoder, Encoder
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.tokenizers.tokenizer import Tokenizer

BRIGHT, DARK = (np.full((8, 8, 3), value, np.uint8) for value in (220, 40))


class Metres(Encoder, Decoder, kind="metres"):
    """Depths [8, 8] in metres: a token for each 4 x 4 of them, the same experts as colours."""

    modality, grid, channels = "vision", (2, 2), 16

    def read(self, data):
        return torch.as_tensor(data, dtype=torch.float32)[None]

    def encode(self, items_B):
        return torch.nn.functional.pixel_unshuffle(items_B, 4).flatten(2).mT

    def decode(self, raw_BPC):
        return torch.nn.functional.pixel_shuffle(raw_BPC.mT.unflatten(2, self.grid), 4)

    def span(self, item, stream):
        return Continuous(item[0].cpu().numpy(), target=False, stream=stream)


@TOKENIZERS.register
class MetreSettings(TokenizerSettings):
    kind: Literal["metres"] = "metres"

    def open(self):
        return Tokenizer("metres", metres := Metres(), metres)


def depths(picture):
    """Bright is near on the left, dark is near on the right."""
    return np.tile(np.linspace(1, 5, 8), (8, 1))[:, :: 1 if picture is BRIGHT else -1].copy()


@SOURCES.register
class DepthSettings(SourceSettings):
    kind: Literal["depths"] = "depths"

    def open(self, name, opening):
        documents = type("Depths", (list,), {"name": name})()
        for picture in (BRIGHT, DARK):
            seen = Image(picture, target=False), Text("how far?")
            documents.append(Document((*seen, Continuous(depths(picture), True, "depth"))))
        return Opened(documents, documents, SourceFacts("depths", 2, 4, 2, origin="depths"))


@pytest.mark.slow
def test_depth_is_drawn_from_the_picture_in_colour(tmp_path) -> None:
    stream = {"sequence_length": 64, "sources": {"depths": {"kind": "depths"}}}
    model = {"width": 32, "depth": 2, "query_heads": 2, "key_value_heads": 1}
    recipe = {"name": "depths", "stream": stream, "model": model, "training": {"steps": 400}}
    recipe["streams"] = {"image": {"kind": "pixels", "image_pixels": 8}}
    recipe["streams"]["depth"] = {"kind": "metres"}
    train_run(parse_recipe(recipe), tmp_path / "run")
    sampler = Sampler(Pretrained.load(tmp_path / "run"))
    assert sampler.pretrained.decoder.shapes.modalities == ("text", "vision")
    seen = [(Image(picture, target=False), Text("how far?")) for picture in (BRIGHT, DARK)]
    asked = [Request(spans, opens=True, stream="depth") for spans in seen]
    for spans, picture in zip(sampler.generate(asked), (BRIGHT, DARK), strict=True):
        np.testing.assert_allclose(spans[0].data, depths(picture), atol=1)
