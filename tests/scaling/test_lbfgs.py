"""Many problems at once end where each has its minimum."""

import numpy as np
import pytest

from chiasm.scaling.lbfgs import minimise


def rosenbrock(x_RP, problem_R):
    x, y = x_RP.T
    slope = np.stack([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)], axis=1)
    return 100 * (y - x**2) ** 2 + (1 - x) ** 2, slope


def test_a_curved_valley_is_followed_to_its_end():
    starts = np.random.default_rng(0).uniform(-2, 2, (12, 2))
    found, values = minimise(rosenbrock, starts, iterations=400, tolerance=1e-13)
    assert found == pytest.approx(np.ones((12, 2)), abs=1e-3)
    assert (values < 1e-8).all()


def test_each_problem_has_its_own_objective_and_end():
    wanted = np.arange(6.0)[:, None] * np.ones((6, 3))
    scale = 10.0 ** np.arange(-2, 4)

    def objective(x_RP, problem_R):
        away = x_RP - wanted[problem_R]
        weight = scale[problem_R, None]
        return (weight * away**2).sum(axis=1), (2 * weight * away)

    found, values = minimise(objective, np.full((6, 3), 2.5))
    assert found == pytest.approx(wanted, abs=1e-4)
    assert (values < 1e-7).all()
