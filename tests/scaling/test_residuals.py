"""Lack of fit is told only against a scatter that the seeds measured."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.scaling.fit import fit_points
from chiasm.scaling.residuals import lack_of_fit, pure_error

PLACES = np.repeat(np.arange(12), 2)
CELLS = 0.002 * np.where(PLACES % 2 == 0, 1.0, -1.0)
SEEDS = np.where(np.arange(24) % 2 == 0, 1.0, -1.0)


def told(fit, words):
    return [str(flag) for flag in fit.flags if words in flag.text]


@pytest.mark.slow
def test_seeds_that_are_copies_measure_no_scatter(table, text_law):
    drawn = {p.cell: p.losses for p in table(truths={"text": text_law})}
    points = [replace(p, losses=drawn[p.cell]) for p in table(truths={"text": text_law})]
    fit = fit_points(points, resamples=100)
    assert len(told(fit, "the seeds of every cell have the same loss (copies of one run?)")) == 1
    assert not told(fit, "F =")


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_seeds_that_differ_or_are_not_there_are_not_called_copies(table, text_law, seeds):
    fit = fit_points(table(truths={"text": text_law}, seeds=seeds), resamples=100)
    assert not told(fit, "copies")


@pytest.mark.parametrize(
    ("of_seeds", "words"), [(4e-4, "0.06% each"), (2e-5, "3e-05 each"), (0.0, ""), (0.002, "")]
)
def test_the_scatter_of_seeds_is_told_as_measured(of_seeds, words):
    text = lack_of_fit(CELLS + of_seeds * SEEDS, PLACES, 5)
    assert bool(text) == bool(words)
    assert words in text


def test_cells_that_scatter_too_little_to_matter_lack_no_fit():
    assert lack_of_fit(0.1 * CELLS + 2e-5 * SEEDS, PLACES, 5) == ""


def test_pure_error_is_the_variance_between_the_runs_of_a_cell():
    values, places = np.array([1.0, 3.0, 10.0, 10.0, 7.0]), np.array([4, 4, 2, 2, 9])
    assert pure_error(values, places) == (1.0, 2)
    assert pure_error(values[[0, 2, 4]], places[[0, 2, 4]]) == (0.0, 0)
