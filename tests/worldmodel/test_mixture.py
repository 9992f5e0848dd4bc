"""The weights of pictures in a mean of them are found, and are the best ones."""

from itertools import product

import numpy as np
import pytest

from chiasm.worldmodel.mixture import mixture, onto_simplex


def test_a_mean_is_taken_apart_though_another_picture_is_nearer():
    left, right, between = np.eye(3)[0], np.eye(3)[1], np.array([0.5, 0.45, 0.1])
    mean = 0.55 * left + 0.45 * right
    pictures = np.stack([left, right, between])
    assert ((pictures - mean) ** 2).sum(1).argmin() == 2
    assert mixture(pictures, mean) == pytest.approx([0.55, 0.45, 0.0], abs=0.02)


def test_one_of_the_pictures_is_itself_alone():
    pictures = np.random.default_rng(0).standard_normal((8, 40)).astype(np.float32)
    for number in range(8):
        assert mixture(pictures, pictures[number]) == pytest.approx(np.eye(8)[number], abs=1e-3)


def test_no_weights_of_a_grid_are_better():
    rng = np.random.default_rng(1)
    pictures, mean = rng.standard_normal((3, 5)), rng.standard_normal(5)
    grid = [np.array(w) / 40 for w in product(range(41), repeat=3) if sum(w) == 40]

    def apart(weights: np.ndarray) -> float:
        return float(((mean - weights @ pictures) ** 2).sum())

    found = mixture(pictures, mean)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert apart(found) <= min(map(apart, grid)) + 1e-9


def test_the_simplex_is_as_near_as_can_be():
    assert onto_simplex(np.array([0.2, 0.3, 0.5])) == pytest.approx([0.2, 0.3, 0.5])
    assert onto_simplex(np.array([2.0, 0.0, -1.0])) == pytest.approx([1, 0, 0])
    assert onto_simplex(np.array([0.6, 0.6, -3.0])) == pytest.approx([0.5, 0.5, 0])


def test_pictures_without_features_weigh_something():
    assert mixture(np.zeros((3, 4)), np.ones(4)).sum() == pytest.approx(1)
