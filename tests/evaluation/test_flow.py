import numpy as np
import pytest

from chiasm.evaluation.flow import linear_guess


@pytest.mark.parametrize("time", [0.0, 0.2, 0.5, 0.9])
def test_the_linear_guess_is_the_least_loss_of_a_linear_function(time):
    rng = np.random.default_rng(0)
    data, noise = rng.normal(size=(2, 200_000))
    mixed, velocity = (1 - time) * noise + time * data, data - noise
    slope = (mixed @ velocity) / (mixed @ mixed)
    assert linear_guess(time) == pytest.approx(((velocity - slope * mixed) ** 2).mean(), rel=0.02)
