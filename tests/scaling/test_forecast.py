"""Forecasts from the paper's exponents and from a fit."""

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.scaling.fit import fit_points
from chiasm.scaling.forecast import (
    common_method,
    off_optimum,
    optimum,
    relative_growth,
    relative_need,
    trained_optimally,
    typed_estimates,
)
from chiasm.scaling.optima import fit_optima, paper_optima

DENSE = ["text=0.47/0.53", "vision=0.37/0.63"]
MOE = ["text=0.41/0.59", "vision=0.36/0.64"]


@pytest.mark.parametrize(
    ("exponents", "size", "published"),
    [(DENSE, 1e11, 14), (DENSE, 1e12, 51), (MOE, 1e11, 4.8), (MOE, 1e12, 10.4)],
)
def test_growth_of_the_data_need_is_the_papers(exponents, size, published):
    typed = typed_estimates(exponents)
    number = relative_growth(typed["vision"], typed["text"], size)
    assert number.low < published < number.high
    assert number.value == pytest.approx(published, rel=0.05)


def test_rounding_is_drawn_for_both_exponents_together():
    """b/a moves by 1/a² of what a is rounded by, so ×51 is known to a factor of about 1.4."""
    own = typed_estimates(DENSE)
    for estimate in own.values():
        assert estimate.samples[:, 0] + estimate.samples[:, 2] == pytest.approx(1.0)
        assert np.ptp(estimate.samples[:, 0]) == pytest.approx(0.01, rel=0.02)
    corners = [
        1000 ** ((1 - vision) / vision - (1 - text) / text)
        for vision, text in ((0.375, 0.465), (0.365, 0.475))
    ]
    number = relative_growth(own["vision"], own["text"], 1e12)
    assert corners[0] < number.low < 0.8 * number.value
    assert 1.25 * number.value < number.high < corners[1]


def test_four_digits_and_two_meet_where_both_round():
    (estimate,) = typed_estimates(["text=0.4712/0.53"]).values()
    assert estimate.samples[:, 0].min() > 0.4711
    assert np.ptp(estimate.samples[:, 0]) < 1.1e-4


def test_it_is_growth_and_not_the_ratio():
    own = fit_optima(paper_optima("paper-dense")).modalities
    text, vision = (own[name].estimates["optima"] for name in ("text", "vision"))
    assert relative_growth(vision, text, 1e9).value == pytest.approx(1.0)
    assert relative_need(vision, text, 1e9).value == pytest.approx(0.23, abs=0.01)
    assert relative_need(vision, text, 1e12).value == pytest.approx(11, abs=1)
    # Five points each: the data allow no growth at all.
    assert relative_growth(vision, text, 1e12).low < 1


def test_an_anchor_gives_typed_exponents_their_sizes():
    typed = typed_estimates(DENSE, ["text=1e21/3.4e9/4.9e10"])
    at = optimum(typed["text"], 1e23)
    assert at.size.value == pytest.approx(3.4e9 * 100**0.47)
    assert at.tokens.value == pytest.approx(4.9e10 * 100**0.53)
    assert np.isnan(optimum(typed["vision"], 1e23).size.value)
    own = trained_optimally(typed["text"], at.size.value)
    assert own.budget_flops.value == pytest.approx(1e23)
    assert own.tokens.value == pytest.approx(at.tokens.value)


@pytest.mark.parametrize(
    ("exponents", "anchors", "message"),
    [
        (["text=0.47"], [], "write each modality once as NAME=a/b"),
        (["text=0.4/0.6", "text=0.4/0.6"], [], "once"),
        (["text=0.47/0.63"], [], "a \\+ b = 1.1, and with C = 6·N·D they sum to 1"),
        (DENSE, ["text=1e21"], "NAME=FLOPS/PARAMETERS/TOKENS"),
        (DENSE, ["sound=36/2/3"], "--anchor sound: no --exponents"),
        (DENSE, ["text=1e21/4e9/9e12"], "6·N·D is 216 times its FLOPs"),
    ],
)
def test_typing_errors_are_named(exponents, anchors, message):
    with pytest.raises(UserError, match=message):
        typed_estimates(exponents, anchors)


@pytest.mark.slow
def test_the_price_of_a_shared_size_is_that_of_the_law(table, text_law, vision_law):
    fit = fit_points(table(noise=1e-4), resamples=100)
    text, vision = (fit.modalities[name].estimates["projection"] for name in ("text", "vision"))
    budget = 1e19
    at = optimum(vision, budget)
    assert at.size.value == pytest.approx(vision_law.optimum(budget), rel=0.05)
    price = off_optimum(vision, text, fit.cost, budget)
    size = text_law.optimum(budget)
    loss = vision_law.loss(size, budget / 6 / size)
    assert price.loss.value == pytest.approx(loss, rel=2e-3)
    assert price.best_loss.value < price.loss.value
    # As much compute as the factor leaves, spent at vision's own optimum, gives the same loss.
    less = budget / price.compute_factor.value
    best = vision_law.optimum(less)
    assert vision_law.loss(best, less / 6 / best) == pytest.approx(loss, rel=2e-3)
    assert off_optimum(fit.modalities["text"].estimates["parabola"], text, fit.cost, 1e19) is None


def test_a_method_is_one_that_all_modalities_have():
    typed = {name: {"typed": own} for name, own in typed_estimates(DENSE).items()}
    assert common_method(typed) == "typed"
    with pytest.raises(UserError, match="--method huber: not fitted for every modality"):
        common_method(typed, "huber")
