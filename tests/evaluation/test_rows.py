import numpy as np

from chiasm.evaluation.rows import Measurement
from chiasm.intervals import Verdict


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
