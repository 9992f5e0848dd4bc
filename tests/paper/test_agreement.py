"""The rules, at their edges."""

import math

import pytest

from chiasm.intervals import Interval
from chiasm.paper.agreement import Agreement, by_sign, by_value, overall, unanimous

AGREES, DISAGREES = Agreement.AGREES, Agreement.DISAGREES
UNDECIDED, NOT_MEASURED = Agreement.UNDECIDED, Agreement.NOT_MEASURED


@pytest.mark.parametrize(
    ("interval", "published", "reading_error", "verdict"),
    [
        ((0.2, 0.1, 0.3), 3.0, 0.0, AGREES),
        ((0.2, 0.1, 0.3), -3.0, 0.0, DISAGREES),
        ((-0.2, -0.3, -0.1), -3.0, 0.0, AGREES),
        ((0.2, -0.1, 0.5), 3.0, 0.0, UNDECIDED),
        ((0.2, 0.0, 0.4), 3.0, 0.0, UNDECIDED),
        ((0.2, math.nan, math.nan), 3.0, 0.0, UNDECIDED),
        ((0.2, 0.1, 0.3), 0.01, 0.02, UNDECIDED),
    ],
)
def test_signs(interval, published, reading_error, verdict):
    assert by_sign(Interval(*interval), published, reading_error)[0] is verdict


@pytest.mark.parametrize(
    ("interval", "rival", "verdict"),
    [
        ((0.46, 0.40, 0.52), 0.37, AGREES),
        ((0.46, 0.36, 0.56), 0.37, UNDECIDED),
        ((0.46, 0.36, 0.56), None, AGREES),
        ((0.30, 0.25, 0.35), 0.37, DISAGREES),
        ((0.46, math.nan, math.nan), None, UNDECIDED),
    ],
)
def test_values(interval, rival, verdict):
    assert by_value(Interval(*interval), 0.47, rival)[0] is verdict


def test_methods_that_differ_decide_nothing():
    assert unanimous([AGREES, AGREES]) is AGREES
    assert unanimous([AGREES, DISAGREES]) is UNDECIDED
    assert unanimous([]) is NOT_MEASURED


def test_a_finding_is_as_good_as_its_worst_number():
    assert overall([AGREES, AGREES]) is AGREES
    assert overall([AGREES, UNDECIDED, DISAGREES]) is DISAGREES
    assert overall([AGREES, NOT_MEASURED]) is UNDECIDED
    assert overall([NOT_MEASURED, NOT_MEASURED]) is NOT_MEASURED
