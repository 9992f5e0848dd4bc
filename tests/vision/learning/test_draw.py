"""What a step draws on one process and on ranks; gathering itself is in tests/ranks."""

import numpy as np
import pytest
import torch

from chiasm.ranks import Ranks
from chiasm.vision.learning.draw import Draw, draw_step
from chiasm.vision.learning.settings import FitSettings

FIT = FitSettings(pictures_per_step=32)


def test_an_epoch_sees_every_picture_once() -> None:
    drawn = np.concatenate([draw_step(0, "encoder", step, 80, FIT).numbers for step in range(5)])
    assert sorted(drawn[:80]) == list(range(80))
    assert sorted(drawn[80:160]) == list(range(80))
    assert list(drawn[:80]) != list(drawn[80:160])


def of_rank(rank: int, size: int) -> Draw:
    ranks = Ranks()
    ranks.rank, ranks.size = rank, size
    return draw_step(0, "encoder", 3, 80, FIT, ranks)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ranks_divide_what_one_process_draws(size: int) -> None:
    alone = draw_step(0, "encoder", 3, 80, FIT)
    draws = [of_rank(rank, size) for rank in range(size)]
    numbers = np.concatenate([draw.numbers[draw.own] for draw in draws])
    assert np.array_equal(numbers, alone.numbers)
    noise = torch.cat([draw.noise(3, 2) for draw in draws])
    assert torch.equal(noise, alone.noise(3, 2))
    # What comes after is that of one process as well.
    assert torch.equal(torch.cat([draw.noise(1) for draw in draws]), alone.noise(1))
    assert len({int(draw.rng.integers(10**9)) for draw in (alone, *draws)}) == 1
