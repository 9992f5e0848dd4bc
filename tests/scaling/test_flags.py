"""What the tool says by itself of grids and methods."""

import numpy as np
import pytest

from chiasm.scaling.flags import bias_flags, disagreements, grid_width_flag
from chiasm.scaling.frontier import Frontier


def estimate(method, a, spread):
    draws = a + spread * np.random.default_rng(0).standard_normal(400)
    rows = np.stack([np.concatenate([[a], draws])] * 4, axis=1)
    return Frontier(method, 1e18, rows[0], rows[1:])


@pytest.mark.parametrize(("spread", "flagged"), [(0.002, True), (0.2, False)])
def test_methods_disagree_beyond_their_resamples(spread, flagged):
    pair = {
        "parabola": estimate("parabola", 0.45, 0.0),
        "huber": estimate("huber", 0.5, spread),
    }
    told = list(disagreements(pair))
    assert bool(told) == flagged
    assert all("a = 0.450 against 0.500" in flag.text for flag in told)


def test_methods_that_are_told_as_one_do_not_disagree():
    pair = {
        "parabola": estimate("parabola", 0.45, 0.0),
        "huber": estimate("huber", 0.45 + 1e-8, 1e-10),
    }
    assert not list(disagreements(pair))


@pytest.mark.parametrize(
    ("bias", "there", "absent"),
    [
        ((1e-6, 0.1), "it makes optimal sizes 1.11 times the true ones;", "exponent"),
        ((-0.02, 1e-6), "it makes a size exponent 0.020 too low;", "1.00"),
        ((0.02, 0.1), "exponent 0.020 too high and optimal sizes 1.11 times", "0.000"),
    ],
)
def test_no_direction_is_told_of_a_bias_that_is_none(bias, there, absent):
    (flag,) = bias_flags(bias)
    assert there in flag.text
    assert absent not in flag.text.split("it makes")[1]


@pytest.mark.parametrize(
    ("ratio", "word"),
    [(2.0, "narrow"), (4 - 1e-9, ""), (16.0, ""), (32 + 1e-9, ""), (100.0, "wide")],
)
def test_the_width_of_a_grid(ratio, word):
    flag = grid_width_flag(ratio)
    assert word in flag
    assert bool(flag) == bool(word)
