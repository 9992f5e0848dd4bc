"""Choosing tokens: the distribution is right, and draws belong to requests."""

import numpy as np
import torch

from chiasm.batch.streams import StreamShape
from chiasm.inference.choice import ITEM_NOISE, choose_tokens, item_noise, token_draw


def test_greedy_takes_the_largest() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.5]])
    assert choose_tokens(logits, [0.999, 0.0], 0.0, None) == [1, 0]


def test_sampled_frequencies_follow_the_softmax() -> None:
    logits_V = torch.tensor([0.3, -1.0, 1.2, 0.0])
    temperature = 0.7
    draws = [token_draw(5, number) for number in range(4000)]
    chosen = choose_tokens(logits_V.expand(4000, 4), draws, temperature, None)
    frequency_V = torch.bincount(torch.tensor(chosen), minlength=4) / 4000
    torch.testing.assert_close(frequency_V, (logits_V / temperature).softmax(0), atol=0.03, rtol=0)


def test_top_k_and_forbidden_tokens_are_never_chosen() -> None:
    logits_BV = torch.tensor([[1.0, 2.0, 3.0, -torch.inf]]).expand(500, 4)
    draws = [token_draw(1, number) for number in range(500)]
    assert set(choose_tokens(logits_BV, draws, 5.0, 2)) == {1, 2}
    assert set(choose_tokens(logits_BV, draws, 5.0, None)) == {0, 1, 2}


def test_extreme_draws_find_a_token() -> None:
    logits_BV = torch.tensor([[-torch.inf, 1.0, 1.0, -torch.inf]]).expand(2, 4)
    assert choose_tokens(logits_BV, [0.0, 1 - 2**-53], 1.0, None) == [1, 2]


def test_draws_are_keyed_by_seed_number_and_purpose() -> None:
    assert token_draw(3, 4) == token_draw(3, 4)
    assert len({token_draw(3, 4), token_draw(3, 5), token_draw(4, 4)}) == 3
    image, series = (StreamShape(name, name, (5,), channels=2) for name in ("image", "series"))
    for shape in (image, series):
        assert torch.equal(item_noise(3, 0, shape), item_noise(3, 0, shape))
        assert item_noise(3, 0, shape).shape == (5, 2)
        assert not torch.equal(item_noise(3, 0, shape), item_noise(3, 1, shape))
        assert not torch.equal(item_noise(3, 0, shape), item_noise(4, 0, shape))
    assert not torch.equal(item_noise(3, 0, image), item_noise(3, 0, series))
    many = StreamShape("series", "series", (10, 100), channels=8)
    assert abs(float(item_noise(0, 0, many).std()) - 1) < 0.05


def test_pictures_begin_as_they_did_before_there_were_streams() -> None:
    drawn = np.random.default_rng([3, ITEM_NOISE, 4])
    expected = drawn.standard_normal((5, 2), dtype=np.float32)
    image = StreamShape("image", "vision", (1, 5), channels=2)
    assert (item_noise(3, 4, image).numpy() == expected).all()
