"""Intervals of a mean are those of statistics' first page."""

import numpy as np
import pytest

from chiasm.intervals import Estimate
from chiasm.scaling.resample import OF_LAW, draw_signs, resampled

RUNS = np.arange(40)


def test_the_spread_of_a_line_is_that_of_least_squares():
    random = np.random.default_rng(0)
    table = np.stack([np.ones(40), np.linspace(-1, 1, 40)], axis=1)
    losses = table @ [1.0, 2.0] + 0.1 * random.standard_normal(40)
    inverse = np.linalg.inv(table.T @ table)
    numbers = inverse @ table.T @ losses
    residual = losses - table @ numbers
    again = resampled(
        table @ numbers, residual, table, RUNS, draw_signs(4000, RUNS, seed=1), OF_LAW
    )
    slopes = (again @ table @ inverse)[:, 1]
    expected = np.sqrt(inverse[1, 1] * (residual @ residual) / 38)
    assert Estimate.of_samples(numbers[1], slopes).standard_error == pytest.approx(
        expected, rel=0.2
    )


def test_signs_are_a_function_of_the_seed_and_one_for_each_cell():
    places = np.array([0, 0, 1, 2, 2, 2])
    signs = draw_signs(50, places, seed=2)
    assert (signs == draw_signs(50, places, seed=2)).all()
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert (signs[:, 0] == signs[:, 1]).all()
    assert (signs[:, 0] != signs[:, 2]).any()


def test_a_mean_of_cells_is_as_uncertain_as_its_cells():
    """Ten cells of four runs that agree: forty runs tell no more than ten."""
    places = np.repeat(np.arange(10), 4)
    cells = np.random.default_rng(0).standard_normal(10)
    residual = np.repeat(cells - cells.mean(), 4)
    table = np.ones((40, 1))
    signs = draw_signs(4000, places, seed=1)
    means = resampled(np.zeros(40), residual, table, places, signs, OF_LAW).mean(axis=1)
    # CR3: each cell's residual over what the others' mean leaves of it.
    expected = np.sqrt(((cells - cells.mean()) ** 2).sum()) / 10 / 0.9
    assert means.std() == pytest.approx(expected, rel=0.05)
