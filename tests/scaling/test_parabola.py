"""A minimum is found where there is one, and refused with the reason where there is none."""

import numpy as np
import pytest

from chiasm.scaling.parabola import design, fit_parabola, minima

SIZES = np.geomspace(1e6, 1.6e7, 5)


def curve(lowest, noise=0.0, bend=0.1):
    scatter = noise * np.random.default_rng(0).standard_normal(len(SIZES))
    return 3.0 + bend * np.log(SIZES / lowest) ** 2 + scatter


def test_the_minimum_of_a_parabola_is_its_minimum():
    parabola = fit_parabola(1e18, SIZES, curve(3e6))
    assert not parabola.refusal
    assert parabola.minimum == pytest.approx(3e6)
    assert parabola.lowest_loss == pytest.approx(3.0)
    assert parabola.off_centre == pytest.approx(np.log(4 / 3) / np.log(4))


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        (curve(4e7), "lies above the largest size"),
        (curve(2e5), "lies below the smallest size"),
        (curve(4e6, bend=-0.1), "do not bend upwards"),
        (curve(4e6, noise=0.3), "by more than their scatter"),
    ],
)
def test_what_is_no_minimum_is_refused(losses, reason):
    assert reason in fit_parabola(1e18, SIZES, losses).refusal


@pytest.mark.parametrize("number", [1, 2, 3])
def test_too_few_sizes_are_refused(number):
    sizes = np.repeat(SIZES[:number], 2)
    refusal = fit_parabola(1e18, sizes, np.ones(2 * number)).refusal
    assert f"it has {number} sizes; a minimum needs at least 4" in refusal


def test_a_run_off_the_curve_is_named_and_noise_is_not():
    sizes = np.repeat(np.geomspace(1e6, 1.6e7, 7), 2)
    losses = 3 + 0.1 * np.log(sizes / 4e6) ** 2
    losses += 1e-3 * np.random.default_rng(1).standard_normal(len(sizes))
    assert fit_parabola(1e18, sizes, losses).odd == ()
    losses[5] += 0.05
    assert fit_parabola(1e18, sizes, losses).odd == (5,)


def test_the_uncertainty_is_that_of_repetitions():
    random = np.random.default_rng(0)
    table, _ = design(SIZES)
    losses = curve(3e6) + 0.005 * random.standard_normal((4000, len(SIZES)))
    measured = float(np.std(minima(table, losses)))
    told = fit_parabola(1e18, SIZES, curve(3e6)).spread * 0.005
    assert told == pytest.approx(measured, rel=0.1)
