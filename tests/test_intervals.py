"""Errors by clusters, Student's intervals over seeds, quantiles of resamples, and verdicts."""

import math

import numpy as np
import pytest

from chiasm.intervals import (
    Estimate,
    Interval,
    Resamples,
    Verdict,
    clustered_mean,
    decide,
    paired_difference,
    paired_seeds,
    seed_mean,
    student_quantile,
)


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
def test_more_than_the_margin_separates(difference, better, verdict):
    assert decide(difference, 0.2, better) is verdict


def test_an_unknown_margin_never_separates():
    assert decide(100.0, math.nan, "higher") is Verdict.NOT_SEPARATED


def test_equal_numbers_are_not_separated():
    assert decide(0.0, 0.0, "higher") is Verdict.NOT_SEPARATED


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


def test_the_spread_of_resamples_is_the_clustered_standard_error():
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 5)
    values = random.normal(size=40)[clusters] + 0.3 * random.normal(size=200)
    expected = clustered_mean(values, clusters)
    resamples = Resamples.draw(clusters, seed=0)
    means = resamples.sums(values) / resamples.sums(np.ones(200))
    assert means.std() == pytest.approx(expected.standard_error, rel=0.15)
    interval = Interval.of(np.array(expected.value), means)
    assert interval.high - interval.low == pytest.approx(4 * expected.standard_error, rel=0.2)


def test_one_cluster_gives_no_interval():
    resamples = Resamples.draw(np.zeros(7), seed=0)
    interval = Interval.of(np.array([1.0, 2.0]), resamples.sums(np.ones((7, 2))))
    assert interval.value.tolist() == [1.0, 2.0]
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()


def test_resamples_depend_on_the_seed_alone():
    first, again, other = (Resamples.draw(np.arange(9), seed).weight_SC for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.sum(axis=1) == 9).all()


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (60, 2.0003)]
)
def test_student_quantiles(freedom, quantile):
    assert student_quantile(freedom) == pytest.approx(quantile, abs=1e-4)


def test_three_seeds():
    found = seed_mean([1.0, 2.0, 3.0])
    assert found.value == 2
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))
    assert found.half_width == pytest.approx(4.30265 / math.sqrt(3), abs=1e-4)


def test_one_seed_separates_nothing():
    found = seed_mean([-5.0])
    assert math.isnan(found.half_width)
    assert found.verdict("lower") is Verdict.NOT_SEPARATED


def test_differences_are_paired_by_seed():
    values, baseline = {0: 1.0, 1: 11.0, 2: 21.0}, {1: 10.1, 2: 20.0, 0: 0.1, 7: 5.0}
    found = paired_seeds(values, baseline)
    assert found.value == pytest.approx((0.9 + 0.9 + 1.0) / 3)
    assert found.num_seeds == 3
    assert found.verdict("lower") is Verdict.WORSE
    assert found.verdict("higher") is Verdict.BEATS
    assert paired_seeds({0: 1.0}, {1: 1.0}) is None


def test_resamples_that_failed_are_left_out():
    found = Estimate.of_samples(1.0, np.array([0.0, np.nan, 2.0, np.inf, 1.0]))
    assert (found.low, found.high) == pytest.approx((0.05, 1.95))
    assert found.standard_error == pytest.approx(1.0)


def test_too_few_resamples_tell_nothing_and_json_has_null_for_it():
    found = Estimate.of_samples(1.0, np.array([np.nan, 2.0]))
    assert not found.is_known
    assert not found.holds(1.0)
    assert found.to_json() == {"value": 1.0, "standard_error": None, "low": None, "high": None}
