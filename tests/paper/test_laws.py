"""Fits as flat numbers, and differences of independent ones."""

import math

import numpy as np
import pytest

from chiasm.paper.findings import LawMeasureSettings
from chiasm.paper.laws import LawNumber, asked, difference, law_numbers
from chiasm.scaling.optima import fit_optima, paper_optima


def law(quantity, of, **more):
    return LawMeasureSettings(result="r", quantity=quantity, of=of, **more)


def test_the_papers_optima_give_every_number_that_is_asked():
    numbers = law_numbers(fit_optima(paper_optima("paper-dense")))
    (size,) = asked(numbers, law("size_exponent", "text"))
    assert size.value == pytest.approx(0.464, abs=0.001)
    (gap,) = asked(numbers, law("gap", "text", minus="vision"))
    assert gap.low < 0 < gap.value < gap.high
    (growth,) = asked(numbers, law("growth", "vision", minus="text", size=1e12))
    assert growth.value == pytest.approx(50, abs=2)
    assert not asked(numbers, law("gap", "vision", minus="text"))


def test_limits_of_a_difference_are_those_of_its_samples():
    random = np.random.default_rng(0)
    samples = [random.normal(0.10, 0.02, 100_000), random.normal(0.04, 0.05, 100_000)]
    first, second = (
        LawNumber(
            "gap", "text", "vision", None, "optima", own.mean(), *np.quantile(own, (q, 1 - q)), 1.0
        )
        for own, q in ((samples[0], 0.025), (samples[1], 0.025))
    )
    found = difference(first, second)
    assert found.value == pytest.approx(0.06, abs=1e-3)
    expected = np.quantile(samples[0] - samples[1], (0.025, 0.975))
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=2e-3)


def test_an_unknown_limit_stays_unknown():
    first = LawNumber("gap", "text", "vision", None, "optima", 0.1, math.nan, math.nan, 1.0)
    assert math.isnan(difference(first, first).low)
    assert first.to_json()["low"] is None
    assert math.isnan(LawNumber.from_json(first.to_json()).high)
