"""A mixture whose routing is set by hand, over texts and pictures made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.evaluation.material import Material
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings, MoeSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer

TEXT, VISION, CONTENT = 0, 1, slice(4, 16)
"""Dimensions of the residual stream: 1 at text, 1 at pictures, and what a position holds."""

EXPERTS, WIDTH = 8, 16

ONE_STREAM = StreamTokenizers({"image": pixel_tokenizer(image_pixels=8, patch_pixels=4)})


@dataclass
class Documents:
    """A source made of a list."""

    name: str
    items: list[Document]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Document:
        return self.items[index]


def words(random: np.random.Generator) -> str:
    return "".join(random.choice(list("abcdefgh "), 12))


def picture(random: np.random.Generator, *, target: bool) -> Image:
    return Image(random.integers(0, 255, (8, 8, 3), dtype=np.uint8), target=target)


def captions(count: int, seed: int = 0) -> Documents:
    """Pictures that are read."""
    random = np.random.default_rng(seed)
    items = [Document((picture(random, target=False), Text(words(random)))) for _ in range(count)]
    return Documents("captions", items)


def drawings(count: int, seed: int = 1) -> Documents:
    """Pictures that are asked for."""
    random = np.random.default_rng(seed)
    items = [Document((Text(words(random)), picture(random, target=True))) for _ in range(count)]
    return Documents("drawings", items)


def texts(count: int, seed: int = 2) -> Documents:
    random = np.random.default_rng(seed)
    return Documents("texts", [Document((Text(words(random)),)) for _ in range(count)])


@pytest.fixture(scope="session")
def material() -> Material:
    held_out = {"captions": captions(30), "drawings": drawings(30), "texts": texts(20)}
    return Material(held_out, held_out)


@pytest.fixture(scope="session")
def captions_of() -> Callable[[int], Documents]:
    """Thirty pictures that are read, drawn from a seed."""
    return lambda seed: captions(30, seed)


@pytest.fixture(scope="session")
def texts_alone() -> Material:
    held_out = {"texts": texts(20)}
    return Material(held_out, held_out)


@pytest.fixture(scope="session")
def captions_and_texts() -> Material:
    held_out = {"captions": captions(20), "texts": texts(20)}
    return Material(held_out, held_out)


@pytest.fixture(scope="session")
def drawings_between() -> Material:
    """One source, whose first and last document read a picture and the others draw one."""
    first, last = captions(2).items
    held_out = {"mixed": Documents("mixed", [first, *drawings(5).items, last])}
    return Material(held_out, held_out)


@pytest.fixture(scope="session")
def mixture() -> Callable[..., Pretrained]:
    """Make a model with random weights; keywords are settings of its mixture."""
    tokenizer = TextTokenizer.train(["a bcd efgh" * 3], 270)

    def make(
        depth: int = 2,
        experts: str = "moe",
        tokenizers: StreamTokenizers = ONE_STREAM,
        **moe: object,
    ) -> Pretrained:
        shape = ModelSettings(
            width=WIDTH,
            depth=depth,
            query_heads=2,
            key_value_heads=1,
            feedforward_width=32,
            experts=experts,
            moe=MoeSettings(
                **({"num_experts": EXPERTS, "granularity": 2} | moe if experts == "moe" else {})
            ),
        )
        decoder = Decoder(shape, vocabulary=tokenizer.vocabulary_size, streams=tokenizers.streams)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        decoder.eval().requires_grad_(False)
        return Pretrained(decoder, tokenizer, tokenizers, FlowSettings(), context_positions=64)

    return make


@pytest.fixture(scope="session")
def forced(mixture) -> Callable[[torch.Tensor], Pretrained]:
    """Make a model whose routers read the embeddings alone, with these weights [R, D].

    A position of text has 1 at TEXT, one of a picture 1 at VISION; CONTENT is random by token, and
    in a picture random by place. Neither flow time, nor noise, nor another position is seen.
    """

    def make(weight_RD: torch.Tensor) -> Pretrained:
        pretrained = mixture()
        decoder = pretrained.decoder
        for parameter in (decoder.latent_embedding.image.weight, decoder.time_embedding.out.weight):
            parameter.zero_()
        for block in decoder.blocks:
            block.attention.out.weight.zero_()
            block.experts.down.zero_()
            block.experts_norm.gain.fill_(1)
            block.experts.router.weight.copy_(weight_RD)
        places = decoder.place_embedding.image
        for table, value in ((decoder.token_embedding, TEXT), (places.row, VISION)):
            table[:, : CONTENT.start] = 0
            table[:, value] = 1
        places.column[:, : CONTENT.start] = 0
        return pretrained

    return make


@pytest.fixture
def content_weights() -> torch.Tensor:
    """Router weights [R, D] that read only what a position holds."""
    weight_RD = torch.zeros(EXPERTS, WIDTH)
    generator = torch.Generator().manual_seed(3)
    weight_RD[:, CONTENT] = torch.randn(EXPERTS, CONTENT.stop - CONTENT.start, generator=generator)
    return weight_RD
