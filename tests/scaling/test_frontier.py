"""Power laws by weighted least squares."""

import numpy as np
import pytest

from chiasm.scaling.frontier import fit_power_law, power_laws

BUDGETS = np.array([1e17, 4e17, 1e18, 7e18])


def test_an_exact_law_comes_back():
    law = fit_power_law(BUDGETS, 3.0 * BUDGETS**0.45)
    assert law.exponent == pytest.approx(0.45)
    assert law.at(1e20) == pytest.approx(3.0 * 1e20**0.45)


def test_an_uncertain_point_counts_less():
    values = BUDGETS**0.5
    values[0] *= 2
    trusted = fit_power_law(BUDGETS, values, np.array([100.0, 1, 1, 1]))
    assert abs(trusted.exponent - 0.5) < 0.01 < abs(fit_power_law(BUDGETS, values).exponent - 0.5)


def test_many_at_once_are_the_same():
    values = BUDGETS**0.4 * np.exp(np.random.default_rng(0).normal(0, 0.1, (5, 4)))
    variances = np.array([1.0, 2, 1, 3])
    together = power_laws(BUDGETS, np.log(values), variances)
    for row, own in zip(together, values, strict=True):
        law = fit_power_law(BUDGETS, own, variances)
        assert row == pytest.approx((law.level, law.exponent))
