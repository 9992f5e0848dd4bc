import math

import numpy as np
import pytest

from chiasm.evaluation.rows import Measurement, Verdict, decide


@pytest.mark.parametrize(
    ("difference", "better", "verdict"),
    [
        (0.21, "higher", Verdict.BEATS),
        (-0.21, "higher", Verdict.WORSE),
        (-0.21, "lower", Verdict.BEATS),
        (0.21, "lower", Verdict.WORSE),
        (0.2, "higher", Verdict.NOT_SEPARATED),
        (-0.19, "lower", Verdict.NOT_SEPARATED),
    ],
)
def test_two_standard_errors_separate(difference, better, verdict):
    assert decide(difference, 0.1, better) is verdict


def test_an_unknown_standard_error_never_separates():
    assert decide(100.0, math.nan, "higher") is Verdict.NOT_SEPARATED


def test_equal_numbers_are_not_separated():
    assert decide(0.0, 0.0, "higher") is Verdict.NOT_SEPARATED


def test_a_row_pairs_items_and_clusters_them():
    measure = Measurement("questions", "share", "higher", 3, np.repeat(np.arange(10), 2))
    own, other = np.ones(20), np.tile([0.0, 1.0], 10)
    row = measure.row("answers", own, other, "majority")
    assert (row.value, row.baseline, row.difference) == (1.0, 0.5, 0.5)
    assert (row.num_items, row.num_clusters, row.seed) == (20, 10, 3)
    assert row.verdict is Verdict.BEATS


def test_a_row_without_baseline_is_only_shown():
    row = Measurement("text", "bits/byte", "lower", 0, [0, 1]).row("text", [1.0, 2.0])
    assert row.verdict is Verdict.SHOWN
