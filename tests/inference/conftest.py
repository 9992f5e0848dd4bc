"""A tiny random model of the real classes, and a stream that is no picture."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Image
from chiasm.flow import FlowSettings
from chiasm.inference.passage import Passage, PlacedItem
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer

TEXTS = ["caption: a brick wall", "picture: water and grass", "question: how many? answer: 2\n"]


class Steps:
    """Series of six numbers: three latent tokens of two channels, with nothing to encode."""

    modality = "motion"
    grid = (3,)
    channels = 2
    varies = False

    def read(self, data: Sequence[float]) -> torch.Tensor:
        return torch.tensor(data)

    def encode_items(self, items: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
        return torch.cat([item.view(3, 2) for item in items] or [torch.zeros(0, 2)]).to(device)

    def decode(self, z_NPC: torch.Tensor) -> torch.Tensor:
        return z_NPC.flatten(1)

    def span(self, item: torch.Tensor, stream: str) -> Continuous:
        return Continuous(item.tolist(), target=False, stream=stream)


def make_pretrained(
    *,
    prediction: str = "x",
    context_positions: int = 96,
    seed: int = 0,
    series: bool = False,
    seen_pixels: int = 0,
    **model: object,
) -> Pretrained:
    """Two blocks over byte-level text and 8 x 8 pictures of 2 x 2 latent tokens, with weights
    large enough that every input matters.

    ``series`` adds a stream of them; ``seen_pixels`` a tokenizer for pictures that are context.
    """
    text = TextTokenizer.train(TEXTS, 300, streams=["series"] if series else [])
    own = {"image": pixel_tokenizer(image_pixels=8, patch_pixels=4)}
    own |= {"series": Steps()} if series else {}
    own |= {"seen": pixel_tokenizer(seen_pixels, 4)} if seen_pixels else {}
    tokenizers = StreamTokenizers(own, {"seen": "image"} if seen_pixels else None)
    shape = {"width": 32, "depth": 2, "query_heads": 4, "key_value_heads": 2} | model
    decoder = Decoder(
        ModelSettings(**shape),
        vocabulary=text.vocabulary_size,
        streams=tokenizers.streams,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    flow = FlowSettings(prediction=prediction, shift=2.0)
    return Pretrained(
        decoder.eval().requires_grad_(False), text, tokenizers, flow, context_positions
    )


@pytest.fixture
def build() -> Callable[..., Pretrained]:
    """Makes models with other settings than the defaults."""
    return make_pretrained


@pytest.fixture(scope="session")
def pretrained() -> Pretrained:
    """The default tiny model."""
    return make_pretrained()


@pytest.fixture(scope="session")
def with_series() -> Pretrained:
    """The same with a third modality."""
    return make_pretrained(series=True, context_positions=160)


@pytest.fixture
def make_series() -> Callable[[int], Continuous]:
    """A context series for a seed."""
    return lambda seed: Continuous(
        np.random.default_rng(seed).standard_normal(6).tolist(), target=False, stream="series"
    )


@pytest.fixture
def compose() -> Callable[[Pretrained, list[int]], Passage]:
    """The passage of token numbers: an item begins wherever its stream's own token does."""

    def passage(pretrained: Pretrained, ids: list[int]) -> Passage:
        stream_of = {marks.fill: name for name, marks in pretrained.text_tokenizer.marks.items()}
        before = [-1, *ids]
        starts = [n for n, token in enumerate(ids) if token in stream_of and before[n] != token]
        names, shapes = [stream_of[ids[n]] for n in starts], pretrained.decoder.shapes
        items = (
            PlacedItem(name, n, shapes[name].grid) for name, n in zip(names, starts, strict=True)
        )
        return Passage(ids, tuple(items))

    return passage


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
