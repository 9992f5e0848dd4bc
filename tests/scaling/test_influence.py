"""A size that is no member of the family is named, and so is one that more training made worse."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.scaling.fit import fit_points
from chiasm.scaling.influence import same_sizes, worse_with_more
from chiasm.scaling.runs import Runs


def told(fit, words):
    return [str(flag) for flag in fit.flags if words in flag.text]


def ladder(table, worse=lambda point: 1.0, of_seeds=1e-4):
    """The same sizes at every budget, so that a size can be left out."""
    points = []
    for point in table(noise=0.001):
        number = int(point.cell.rsplit("-", 1)[1])
        step = round(np.log(point.budget_flops / 1e17) / np.log(10) * 2)
        shape = number + step // 2
        size = 2e7 * 2.0**shape
        tokens = point.budget_flops / 6 / size
        text = 1.7 + 406 * size**-0.34 + 410 * tokens**-0.28
        points.append(
            replace(
                point,
                active_parameters=size,
                tokens=tokens,
                losses={
                    "text": text * worse((shape, point.budget_flops)) * (1 + of_seeds * point.seed)
                },
            )
        )
    return points


@pytest.mark.slow
def test_a_law_that_holds_leans_on_no_size(table):
    fit = fit_points(ladder(table), resamples=200)
    assert not told(fit, "leans on single sizes")
    assert not told(fit, "more training did not help")


@pytest.mark.slow
def test_exact_losses_lean_on_no_size_and_methods_agree_on_them(table):
    rounding = np.random.default_rng(0)
    points = ladder(table, lambda at: 1 + 1e-9 * rounding.standard_normal(), of_seeds=0.0)
    fit = fit_points(points, resamples=200)
    assert not told(fit, "leans on single sizes")
    assert not told(fit, "disagree: a = 0.452 against 0.452")


@pytest.mark.slow
def test_a_size_that_is_no_member_of_the_family_is_named(table):
    fit = fit_points(ladder(table, lambda at: 1.03 if at[0] == 0 else 1.0), resamples=200)
    assert any("N = 2e+07" in text for text in told(fit, "leans on single sizes"))


def test_a_size_that_more_training_made_worse_is_named(table):
    points = ladder(table, lambda at: 1.2 if at == (2, 3e18) else 1.0)
    (flag,) = worse_with_more(Runs.of(points), "text")
    assert "N = 8e+07" in flag.text
    assert "worse at budget 3e+18 than at 1e+18" in flag.text


def test_sizes_that_differ_by_their_rows_are_one():
    sizes = np.array([3.0e5, 1.0e5, 1.01e5, 2.0e5, 0.995e5])
    assert same_sizes(sizes).tolist() == [2, 0, 0, 1, 0]
