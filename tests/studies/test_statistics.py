"""Means over seeds with Student's intervals; quantiles are those of any table."""

import math

import pytest

from chiasm.evaluation.rows import Verdict
from chiasm.studies.statistics import estimate, paired, student_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (60, 2.0003)]
)
def test_student_quantiles(freedom, quantile):
    assert student_quantile(freedom) == pytest.approx(quantile, abs=1e-4)


def test_three_seeds():
    found = estimate([1.0, 2.0, 3.0])
    assert found.value == 2
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))
    assert found.half_width == pytest.approx(4.30265 / math.sqrt(3), abs=1e-4)


def test_one_seed_separates_nothing():
    found = estimate([-5.0])
    assert math.isnan(found.half_width)
    assert found.verdict("lower") is Verdict.NOT_SEPARATED


def test_differences_are_paired_by_seed():
    values, baseline = {0: 1.0, 1: 11.0, 2: 21.0}, {1: 10.1, 2: 20.0, 0: 0.1, 7: 5.0}
    found = paired(values, baseline)
    assert found.value == pytest.approx((0.9 + 0.9 + 1.0) / 3)
    assert found.num_seeds == 3
    assert found.verdict("lower") is Verdict.WORSE
    assert found.verdict("higher") is Verdict.BEATS
    assert paired({0: 1.0}, {1: 1.0}) is None
