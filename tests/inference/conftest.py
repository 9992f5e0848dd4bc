"""A tiny random model of the real classes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Image
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model import Decoder, ModelSettings
from chiasm.vision.pixels import PixelTokenizer

TEXTS = ["caption: a brick wall", "picture: water and grass", "question: how many? answer: 2\n"]


def make_pretrained(
    *, prediction: str = "x", context_positions: int = 96, seed: int = 0, **model: object
) -> Pretrained:
    """Two blocks over byte-level text and 8 x 8 pictures of 2 x 2 latent tokens, with weights
    large enough that every input matters."""
    text = TextTokenizer.train(TEXTS, 300)
    vision = PixelTokenizer(image_pixels=8, patch_pixels=4)
    shape = {"width": 32, "depth": 2, "query_heads": 4, "key_value_heads": 2} | model
    decoder = Decoder(
        ModelSettings(**shape),
        vocabulary=text.vocabulary_size,
        latent_channels=vision.channels,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    flow = FlowSettings(prediction=prediction, shift=2.0)
    return Pretrained(decoder.eval().requires_grad_(False), text, vision, flow, context_positions)


@pytest.fixture
def build() -> Callable[..., Pretrained]:
    """Makes models with other settings than the defaults."""
    return make_pretrained


@pytest.fixture(scope="session")
def pretrained() -> Pretrained:
    """The default tiny model."""
    return make_pretrained()


@pytest.fixture
def picture() -> Image:
    """A context picture of random pixels."""
    return make_picture(0)


@pytest.fixture
def make_image() -> Callable[[int], Image]:
    """A context picture for a seed."""
    return make_picture


@pytest.fixture
def prefer() -> Callable[[Pretrained, int, float], None]:
    """Raises one token's logit after every text token, as a bias of the head would."""

    def raise_logit(pretrained: Pretrained, token: int, strength: float) -> None:
        decoder = pretrained.decoder
        with torch.no_grad():
            decoder.token_embedding[:, 0] = 20.0
            decoder.final_norm.gain[0] = 1.0
            decoder.text_head.weight[:, 0] = 0.0
            decoder.text_head.weight[token, 0] = strength

    return raise_logit


def make_picture(seed: int) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image(pixels, target=False)
