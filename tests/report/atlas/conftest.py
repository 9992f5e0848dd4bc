"""The atlas of a random mixture over a few documents, with names that need escaping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.evaluation.atlas.atlas import Atlas, draw_atlas
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.evaluation.material import Material
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings, MoeSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer


class Documents(list):
    """A source made of a list."""

    name = "list"


def documents(task: str) -> Documents:
    random = np.random.default_rng(len(task))
    made = Documents()
    for number in range(12):
        picture = Image(random.integers(0, 255, (8, 8, 3), dtype=np.uint8), target=task == "draw")
        text = Text(f"a text {number}")
        made.append(
            Document(
                {"read": (picture, text), "draw": (text, picture), "text": (text,)}[task],
            )
        )
    return made


@pytest.fixture(scope="session")
def atlas_of() -> Callable[..., Atlas]:
    """Draw the atlas of these tasks' documents, from: read, draw, text."""
    tokenizer = TextTokenizer.train(["a text 123" * 3], 262)
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(8, 4)})

    def draw(*tasks: str, dense_blocks: int = 0) -> Atlas:
        shape = ModelSettings(
            width=16,
            depth=2,
            query_heads=2,
            key_value_heads=1,
            feedforward_width=32,
            experts="moe",
            moe=MoeSettings(num_experts=8, granularity=2, dense_blocks=dense_blocks),
        )
        decoder = Decoder(shape, vocabulary=tokenizer.vocabulary_size, streams=tokenizers.streams)
        decoder.eval().requires_grad_(False)
        pretrained = Pretrained(decoder, tokenizer, tokenizers, FlowSettings(), 64)
        held_out = {f"<{task}>": documents(task) for task in tasks}
        return draw_atlas(pretrained, Material(held_out, held_out), AtlasSettings(cutoff=0.2))

    return draw


@pytest.fixture(scope="session")
def atlas(atlas_of: Callable[..., Atlas]) -> Atlas:
    return atlas_of("read", "draw", "text")
