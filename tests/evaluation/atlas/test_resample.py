"""Intervals from clusters drawn again."""

import numpy as np
import pytest

from chiasm.evaluation.atlas.resample import Interval, Resamples
from chiasm.evaluation.clusters import clustered_mean


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
