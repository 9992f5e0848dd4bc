"""Many problems at once end where each would end alone."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from chiasm.scaling.lbfgs import minimise


def rosenbrock(x_RP, problem_R):
    values = np.array([rosen(x) for x in x_RP])
    return values, np.array([rosen_der(x) for x in x_RP])


def test_it_ends_where_a_single_l_bfgs_ends():
    starts = np.random.default_rng(0).uniform(-2, 2, (12, 4))
    found, values = minimise(rosenbrock, starts, iterations=400, tolerance=1e-13)
    for start, x, value in zip(starts, found, values, strict=True):
        alone = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B")
        assert value <= alone.fun + 1e-6 or np.allclose(x, alone.x, atol=1e-2)


def test_each_problem_has_its_own_objective_and_end():
    wanted = np.arange(6.0)[:, None] * np.ones((6, 3))
    scale = 10.0 ** np.arange(-2, 4)

    def objective(x_RP, problem_R):
        away = x_RP - wanted[problem_R]
        weight = scale[problem_R, None]
        return (weight * away**2).sum(axis=1), 2 * weight * away

    found, values = minimise(objective, np.full((6, 3), 2.5))
    assert found == pytest.approx(wanted, abs=1e-4)
    assert (values < 1e-7).all()
