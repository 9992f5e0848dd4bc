import math

import numpy as np
import pytest

from chiasm.evaluation.clusters import clustered_mean, paired_difference


def test_single_item_clusters_give_the_textbook_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    estimate = clustered_mean(values, np.arange(50))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_repeated_items_do_not_buy_precision():
    rng = np.random.default_rng(1)
    per_map = rng.normal(size=12)
    once = clustered_mean(per_map, np.arange(12))
    often = clustered_mean(np.repeat(per_map, 30), np.repeat(np.arange(12), 30))
    assert often.standard_error == pytest.approx(once.standard_error)
    assert (often.num_items, often.num_clusters) == (360, 12)


def test_ratio_agrees_with_a_bootstrap_over_maps():
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(60), rng.integers(2, 9, size=60))
    weights = rng.integers(20, 80, size=len(clusters)).astype(float)
    effect = rng.normal(scale=0.3, size=60)[clusters]
    values = weights * (1 + effect + rng.normal(scale=0.2, size=len(clusters)))
    value_sum = np.bincount(clusters, weights=values)
    weight_sum = np.bincount(clusters, weights=weights)
    drawn = rng.integers(0, 60, size=(4000, 60))
    bootstrap = (value_sum[drawn].sum(1) / weight_sum[drawn].sum(1)).std()
    estimate = clustered_mean(values, clusters, weights)
    assert estimate.value == pytest.approx(values.sum() / weights.sum())
    assert estimate.standard_error == pytest.approx(bootstrap, rel=0.1)


def test_pairing_removes_what_both_sides_share():
    rng = np.random.default_rng(3)
    hard = rng.normal(scale=5, size=80)
    clusters = np.arange(80) // 4
    own, other = hard + 1 + rng.normal(scale=0.1, size=80), hard
    paired = paired_difference(own, other, clusters)
    assert paired.value == pytest.approx(1, abs=0.1)
    assert paired.standard_error < 0.05 < clustered_mean(own, clusters).standard_error


def test_one_cluster_has_no_standard_error():
    assert math.isnan(clustered_mean([1.0, 2.0], ["a", "a"]).standard_error)


def test_lengths_that_disagree_are_refused():
    with pytest.raises(ValueError, match="2 values, 2 weights and 1 clusters"):
        clustered_mean([1.0, 2.0], ["a"])
