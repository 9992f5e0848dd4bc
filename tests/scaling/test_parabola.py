"""A minimum is found where there is one, and refused with the reason where there is none."""

import numpy as np
import pytest

from chiasm.scaling.parabola import fit_parabola, minima, window

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


def test_a_run_off_the_curve_by_less_than_losses_are_told_with_is_not_named():
    sizes = np.geomspace(1e6, 1.6e7, 7)
    losses = 3 + 0.1 * np.log(sizes / 4e6) ** 2
    losses[3] += 1e-6
    assert fit_parabola(1e18, sizes, losses).odd == ()


def test_the_uncertainty_is_that_of_repetitions():
    random = np.random.default_rng(0)
    losses = curve(4e6) + 0.005 * random.standard_normal((4000, len(SIZES)))
    measured = float(np.std(minima(SIZES, losses)))
    told = fit_parabola(1e18, SIZES, curve(4e6)).spread * 0.005
    assert told == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("spacing", "lowest", "chosen"),
    [
        (2.0, 6, [4, 5, 6, 7, 8]),  # within a factor of four
        (1.5, 6, [3, 4, 5, 6, 7, 8, 9]),
        (5.0, 6, [4, 5, 6, 7, 8]),  # two on either side, however far
        (5.0, 1, [0, 1, 2, 3]),
        (5.0, 0, [0, 1, 2, 3]),  # four in all
        (5.0, 11, [8, 9, 10, 11]),
    ],
)
def test_sizes_about_the_lowest_loss_shape_the_parabola(spacing, lowest, chosen):
    sizes = np.repeat(1e6 * spacing ** np.arange(12), 2)
    inside = window(sizes, sizes[2 * lowest])
    assert np.flatnonzero(inside).tolist() == [n for k in chosen for n in (2 * k, 2 * k + 1)]


def test_sizes_far_from_the_minimum_do_not_move_it():
    """A wall on one side, as short training makes one: the old fit through all sizes bent to it."""
    sizes = np.geomspace(1e6, 1e9, 11)  # a factor of two apart
    losses = 3.0 + 0.1 * np.log(sizes / 8e6) ** 2
    losses[7:] += np.array([1.0, 3.0, 8.0, 20.0])
    parabola = fit_parabola(1e18, sizes, losses)
    assert not parabola.refusal
    assert parabola.minimum == pytest.approx(8e6)
    assert parabola.window == (sizes[1], sizes[5])
    assert len(parabola.sizes) == 11


def test_every_table_has_the_window_of_its_own_lowest_loss():
    sizes, lowest = np.geomspace(1e6, 1e9, 11), np.array([8e6, 4e7, 2e8, 2e9])
    u = np.log(sizes / lowest[:, None])
    tables = 3.0 + 0.1 * u**2 + np.where(u > np.log(8), u**4, 0)  # a wall outside of the window
    found = minima(sizes, tables)
    assert found[:3] == pytest.approx(np.log(lowest[:3]))
    assert np.isnan(found[3])
