"""A text tokenizer, and a reader of two streams that takes payloads as they are."""

import pytest
import torch

from chiasm.batch.streams import Streams, StreamShape
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous


class Reader:
    """Arrays become tensors."""

    streams = Streams(
        (
            StreamShape("image", "vision", (1, 3), channels=4),
            StreamShape("series", "motion", (2,), channels=3),
        )
    )

    def grid(self, item: Continuous) -> tuple[int, ...]:
        return self.streams.reading(item.stream, item.target).grid

    def read(self, item: Continuous) -> torch.Tensor:
        return torch.tensor(item.data)


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train(["the wall", "a door", "grass"], 340, streams=["series"])
