"""Approach 2 finds known exponents on wide, narrow and off-centre grids, and tells its own bias."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.scaling.approaches import (
    approach2,
    bias_on_grid,
    parabolas_of,
    resampled_curve,
)
from chiasm.scaling.frontier import frontier_of_laws
from chiasm.scaling.law import fit_projection
from chiasm.scaling.parabola import lowest_sizes, minima
from chiasm.scaling.resample import draw_signs
from chiasm.scaling.runs import Runs, SizeMeasure

BUDGETS = (1e17, 3e17, 1e18, 3e18, 1e19)


def parabola_estimate(runs, resamples=0, seed=0):
    parabolas = parabolas_of(runs, "text")
    return approach2(runs, "text", parabolas, draw_signs(resamples, runs.places, seed))


def exact(table, law, **grid):
    points = table(noise=0.0, seeds=1, budgets=BUDGETS, truths={"text": law}, **grid)
    return Runs.of(points)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    exponents=st.tuples(*[st.floats(0.15, 0.9)] * 2),
    floor=st.floats(0.0, 3.0),
    excess=st.floats(0.05, 2.0),
    sizes=st.integers(5, 12),
    half_span=st.floats(2.0, 1000**0.5),
    shift=st.floats(0.25, 4.0),
    drift=st.sampled_from([-0.2, -0.1, 0.0, 0.1, 0.2]),
)
def test_known_laws_come_back_without_noise(
    table, known_law, exponents, floor, excess, sizes, half_span, shift, drift
):
    """Wherever two sizes lie beyond each optimum, at most a factor of 3 apart, whatever the width.

    Where the lowest loss lies between two sizes there is a minimum, on any grid. Of 6,311 laws with
    exponents from 0.15 to 0.9 the worst were off by 0.057 in the exponent, where grids drift, and
    by 0.46 in the log of the size: a parabola's lowest point is not quite that of a lopsided law.
    """
    law = known_law(*exponents, floor, excess)
    runs = exact(table, law, sizes=sizes, half_span=half_span, shift=shift, drift=drift)
    parabolas = parabolas_of(runs, "text")
    beyond = []
    for parabola in parabolas:
        optimum, trained = law.optimum(parabola.budget_flops), np.array(parabola.sizes)
        beyond += [(trained < optimum).sum(), (trained > optimum).sum()]
        if 0 < int(np.argmin(parabola.losses)) < sizes - 1:
            assert not parabola.refusal
    if min(beyond) >= 2 and half_span ** (2 / (sizes - 1)) <= 3:
        estimate = parabola_estimate(runs)
        error = estimate.numbers[0] - law.size_exponent
        assert abs(error) < (0.07 if drift else 1e-6)
        assert abs(estimate.numbers[1] - np.log(law.optimum(estimate.c0))) < 0.5


@pytest.mark.parametrize("half_span", [8.0, 16.0, 32.0])
def test_one_wide_grid_for_all_budgets_gives_the_exponent(table, known_law, half_span):
    """The optimum moves through the grid; a parabola through all nine sizes makes 0.54 of it."""
    law = known_law(0.24, 0.56, 0.7, 0.3)
    runs = exact(table, law, sizes=9, half_span=half_span, shift=10**0.7, drift=-0.7)
    assert len(np.unique(runs.sizes.round())) == 9
    assert parabola_estimate(runs).numbers[0] == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("exponents", "grid"),
    [
        ((0.45, 1.05), {"half_span": 8.0, "shift": 10**0.7, "drift": -0.7}),
        ((0.24, 0.56), {"half_span": 4.0, "shift": 10**0.7, "drift": -0.7}),
        ((0.24, 0.56), {"half_span": 4.0, "shift": 0.3, "drift": 0.4}),
        ((0.8, 0.4), {"half_span": 4.0, "shift": 3.0, "drift": -0.4}),
        ((0.3, 0.7), {"half_span": 30.0, "shift": 0.3}),
    ],
)
def test_the_bias_is_told_with_its_sign(table, known_law, exponents, grid):
    """From noisy losses: approach 2 makes of the fitted law what it makes of the true one."""
    law = known_law(*exponents, 0.7, 0.3)
    estimate = parabola_estimate(exact(table, law, sizes=5, **grid))
    level = estimate.numbers[1] - np.log(law.optimum(estimate.c0))
    bias = np.array([estimate.numbers[0] - law.size_exponent, level])
    assert np.abs(bias).max() > 0.03
    runs = Runs.of(table(noise=0.001, sizes=5, budgets=BUDGETS, truths={"text": law}, **grid))
    fitted = fit_projection(runs.sizes, runs.tokens, runs.losses["text"][None])
    cost = runs.cost(SizeMeasure.PARAMETERS)
    truth = frontier_of_laws("projection", runs.c0, fitted, fitted, cost)
    told = np.array(bias_on_grid(runs, parabolas_of(runs, "text"), truth))
    assert told == pytest.approx(bias, abs=0.02, rel=0.2)
    large = np.abs(bias) > 0.03
    assert (np.sign(told) == np.sign(bias))[large].all()


GRIDS = {
    "planned": {"sizes": 5, "half_span": 4.0},
    "wide, off centre": {"sizes": 9, "half_span": 16.0, "shift": 0.25},
    "drifting": {"sizes": 7, "half_span": 8.0, "shift": 0.6, "drift": 0.2},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_intervals_hold_the_truth_at_about_their_rate(table, text_law, name):
    held, errors, told, studies = 0, [], [], 40
    for seed in range(studies):
        points = table(seed=seed, noise=0.003, truths={"text": text_law}, **GRIDS[name])
        estimate = parabola_estimate(Runs.of(points), resamples=120, seed=seed)
        number = estimate.size_exponent
        held += number.low <= text_law.size_exponent <= number.high
        errors.append(number.value - text_law.size_exponent)
        told.append(number.standard_error)
    assert held >= 0.85 * studies
    assert np.mean(told) < 2.5 * np.sqrt(np.mean(np.square(errors)))


def test_resamples_choose_their_windows_anew(table, text_law):
    """Noise moves the lowest loss by several sizes, in repetitions and in resamples alike."""
    grid = {"sizes": 11, "half_span": 8.0, "noise": 0.004, "seeds": 1, "budgets": (1e18,)}
    spreads, repeated, moved = [], [], []
    for seed in range(40):
        points = table(seed=seed, truths={"text": text_law}, **grid)
        sizes, losses = (
            np.array([value(p) for p in points])
            for value in (lambda p: p.active_parameters, lambda p: p.losses["text"])
        )
        places = np.arange(len(sizes))
        again = resampled_curve(sizes, losses, places, draw_signs(100, places, seed))
        moved.append(len(np.unique(lowest_sizes(sizes, again))) > 1)
        repeated.append(minima(sizes, losses[None])[0])
        spreads.append(np.nanstd(minima(sizes, again)))
    assert np.mean(moved) > 0.8
    assert 0.5 < np.mean(spreads) / np.nanstd(repeated) < 2.0
