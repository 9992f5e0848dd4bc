"""Intervals of a mean are those of statistics' first page."""

import numpy as np
import pytest

from chiasm.scaling.resample import Number, draw_signs, resampled


def test_the_spread_of_a_line_is_that_of_least_squares():
    random = np.random.default_rng(0)
    table = np.stack([np.ones(40), np.linspace(-1, 1, 40)], axis=1)
    losses = table @ [1.0, 2.0] + 0.1 * random.standard_normal(40)
    inverse = np.linalg.inv(table.T @ table)
    numbers = inverse @ table.T @ losses
    residual = losses - table @ numbers
    again = resampled(table @ numbers, residual, table, draw_signs(4000, 40, seed=1))
    slopes = (again @ table @ inverse)[:, 1]
    expected = np.sqrt(inverse[1, 1] * (residual @ residual) / 38)
    assert Number.of(numbers[1], slopes).standard_error == pytest.approx(expected, rel=0.2)


def test_resamples_that_failed_are_left_out():
    number = Number.of(1.0, np.array([0.0, np.nan, 2.0, np.inf, 1.0]))
    assert (number.low, number.high) == pytest.approx((0.05, 1.95))


def test_signs_are_a_function_of_the_seed():
    assert (draw_signs(5, 7, seed=2) == draw_signs(5, 7, seed=2)).all()
    assert set(np.unique(draw_signs(50, 7, seed=2))) == {-1.0, 1.0}
