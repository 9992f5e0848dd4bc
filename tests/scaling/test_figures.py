"""Figures are written, and show what was refused as refused."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.scaling.figures import isoflop_figure, optima_figure, write_figures
from chiasm.scaling.fit import fit_points
from chiasm.scaling.optima import fit_optima, paper_optima

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fit(table):
    return fit_points(table(shift=2.5), resamples=40)


def test_every_curve_and_minimum_is_drawn(fit):
    figure = isoflop_figure(fit)
    for axes, own in zip(figure.axes, fit.modalities.values(), strict=True):
        lines = axes.get_lines()
        stars = [line for line in lines if line.get_marker() == "*"]
        assert len(stars) == sum(not parabola.refusal for parabola in own.parabolas)
        assert len(lines) - len(stars) == len(own.parabolas)


def test_a_curve_is_drawn_where_it_was_fitted(table):
    fit = fit_points(table(sizes=9, half_span=16.0), resamples=40)
    for axes, own in zip(isoflop_figure(fit).axes, fit.modalities.values(), strict=True):
        curves = [line.get_xdata() for line in axes.get_lines() if line.get_marker() != "*"]
        ends = np.array([(curve.min(), curve.max()) for curve in curves])
        np.testing.assert_allclose(ends, [parabola.window for parabola in own.parabolas])
        shown = [len(points.get_offsets()) for points in axes.collections]
        assert sum(shown) == sum(len(parabola.sizes) for parabola in own.parabolas)
        assert (ends[:, 1] / ends[:, 0]).max() < 20


def test_files_open(fit, tmp_path):
    paths = write_figures(fit, tmp_path)
    assert {path.name for path in paths} == {
        *("isoflop.svg", "isoflop.png", "optima.svg", "optima.png")
    }
    for path in paths:
        if path.suffix == ".png":
            with PillowImage.open(path) as picture:
                assert min(picture.size) > 400
    assert plt.get_fignums() == []


def test_optima_alone_have_no_isoflop_curves(tmp_path):
    fit = fit_optima(paper_optima("paper-dense"))
    assert [path.stem for path in write_figures(fit, tmp_path)] == ["optima", "optima"]
    labels = [line.get_label() for line in optima_figure(fit).axes[0].get_lines()]
    assert any(label.startswith("text") and "0.464" in label for label in labels)
