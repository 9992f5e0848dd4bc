import numpy as np
import pytest

from chiasm.evaluation.probes import Probe, _solve


def items(seed: int, count: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = np.array(["brick", "metal", "wood"])
    number = rng.integers(0, 3, size=count)
    direction = np.random.default_rng(99).normal(size=(3, 40))
    features = direction[number] * 3 + rng.normal(scale=noise, size=(count, 40)) + 7
    return features, names[number], np.arange(count) // 5


def test_separable_classes_are_read_on_items_never_seen():
    probe = Probe.fit(*items(0, 300, noise=1.0))
    features, labels, _ = items(1, 200, noise=1.0)
    assert (probe.predict(features) == labels).mean() > 0.98


def test_features_that_say_nothing_give_chance():
    rng = np.random.default_rng(4)
    features, labels, clusters = items(0, 400, noise=1.0)
    probe = Probe.fit(rng.normal(size=features.shape), labels, clusters)
    accuracy = (probe.predict(rng.normal(size=features.shape)) == labels).mean()
    assert 0.23 < accuracy < 0.44


def test_more_features_than_items_do_not_break_it():
    features, labels, clusters = items(0, 60, noise=0.5)
    wide = np.concatenate((features, np.random.default_rng(1).normal(size=(60, 300))), axis=1)
    probe = Probe.fit(wide, labels, clusters)
    assert (probe.predict(wide) == labels).mean() > 0.95


def test_a_constant_feature_is_harmless():
    features, labels, clusters = items(0, 300, noise=1.0)
    features[:, 0] = 3.0
    assert np.isfinite(Probe.fit(features, labels, clusters).weight_FK).all()


def test_one_class_is_refused():
    features, _, clusters = items(0, 20, noise=1.0)
    with pytest.raises(ValueError, match="two classes"):
        Probe.fit(features, ["brick"] * 20, clusters)


def test_both_forms_of_the_solution_agree():
    rng = np.random.default_rng(5)
    x, y = (
        rng.normal(size=(30, 30)).astype(np.float32),
        np.eye(3, dtype=np.float32)[np.arange(30) % 3],
    )
    padded = np.concatenate((x, np.zeros((30, 1), np.float32)), axis=1)
    (narrow,), (wide,) = _solve(x, y, (0.1,)), _solve(padded, y, (0.1,))
    assert np.allclose(narrow, wide[:30], atol=1e-4)
