"""A sampler of the small random world model."""

import pytest

from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler


@pytest.fixture(scope="session")
def sampler(world_model: Pretrained) -> Sampler:
    return Sampler(world_model)
