import numpy as np
import pytest

from chiasm.evaluation.drawings import Drawings
from chiasm.evaluation.next_views import NextViews
from chiasm.evaluation.pictures import detail
from chiasm.evaluation.run import Run
from chiasm.evaluation.steps import SolverSteps

COUNTS = (1, 3)


@pytest.mark.slow
def test_rows_are_those_of_the_other_sections_at_as_many_steps(pretrained, material, settings):
    """The same items, under the same noise."""
    asked = settings.model_copy(update={"solver_steps": COUNTS})
    found = SolverSteps().measure(Run(pretrained, material, asked))
    values = {row.name: row.value for row in found.rows}
    for steps, told in ((1, "1 step"), (3, "3 steps")):
        run = Run(pretrained, material, settings.model_copy(update={"steps": steps}))
        for measure, name in (
            (NextViews(), "PSNR of the imagined next view"),
            (NextViews(), "feature distance of the imagined next view"),
            (Drawings(), "what the caption names is found in the drawn picture"),
        ):
            row = next(row for row in measure.measure(run).rows if row.name == name)
            assert values[f"{name}, {told}"] == pytest.approx(row.value)
    assert {(point.measure, point.steps) for point in found.points} == {
        (measure, steps)
        for steps in COUNTS
        for measure in (
            *("next view: feature distance", "next view: perceptual distance"),
            *("next view: PSNR", "next view: detail"),
            *("drawing: caption found", "drawing: detail"),
        )
    }
    assert list(found.rows) == [point.row for point in found.points]
    [first, *_] = found.samples
    assert [panel.label for panel in first.panels] == ["1 step", "3 steps", "truth, decoded"]


def test_nothing_is_measured_unless_it_is_asked_for(
    pretrained, material, folder_material, settings
):
    run = Run(pretrained, material, settings)
    assert SolverSteps().applies(run) == ""
    assert not SolverSteps().measure(run).rows
    asked = settings.model_copy(update={"solver_steps": COUNTS})
    found = SolverSteps().measure(Run(pretrained, folder_material, asked))
    assert not found.rows
    assert "walks with actions" in found.skipped["solver steps"]


def test_blur_has_less_detail():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    blurred = (sharp[:, 1:] // 2 + sharp[:, :-1] // 2).astype(np.uint8)
    assert (detail(blurred) < 0.9 * detail(sharp)).all()
    steps = np.zeros((1, 4, 4, 3), np.uint8)
    steps[:, :, 2:] = 30
    assert detail(steps) == pytest.approx(np.sqrt(30**2 / 3 / 2))
    assert detail(steps) == pytest.approx(detail(steps.swapaxes(1, 2)))
