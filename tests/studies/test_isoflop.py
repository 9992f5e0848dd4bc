"""Plans spend their budgets, centre their sizes, and say where they do not."""

import math
import re
from itertools import islice

import numpy as np
import pytest

from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.errors import UserError
from chiasm.model.decoder import Decoder
from chiasm.model.work import FORWARD_AND_BACKWARD, Work
from chiasm.recipe import load_recipe
from chiasm.scaling.fit import fit_points
from chiasm.scaling.points import Point
from chiasm.studies.grid import Centre
from chiasm.studies.isoflop import plan_isoflop, write_study
from chiasm.studies.settings import load_study
from chiasm.studies.step import count_recipe_step

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe_path(tiny_recipe, tmp_path_factory):
    shape = ("width=32", "depth=2", "query_heads=4", "key_value_heads=2")
    settings = [f"model.{each}" for each in shape]
    return tiny_recipe(tmp_path_factory.mktemp("recipe") / "recipe.toml", *settings)


@pytest.fixture(scope="module")
def recipe(recipe_path):
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def step(recipe):
    return count_recipe_step(recipe)


@pytest.fixture(scope="module")
def plan(recipe, step):
    return plan_isoflop(recipe, step, [2e9, 6e9, 2e10, 6e10], 5, centre=Centre([(2e9, 4e4)]))


def test_a_run_uses_its_budget_within_a_percent(recipe, plan):
    """The stream that training would read, counted batch by batch."""
    cell = plan.cells[12]
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)
    decoder = Decoder(
        cell.shape.settings,
        vocabulary=inputs.text_tokenizer.vocabulary_size,
        streams=inputs.tokenizers.streams,
    )
    stream = build_stream(recipe, material.train, inputs, seed=5)
    try:
        used = sum(
            FORWARD_AND_BACKWARD * decoder.forward_flops(Work.useful(batch))
            for batch in islice(stream, cell.steps)
        )
    finally:
        stream.close()
    assert used == pytest.approx(cell.budget_flops, rel=0.01)


def test_cells_differ_in_what_they_should(recipe, plan, step):
    assert len(plan.cells) == len({cell.name for cell in plan.cells}) == 20
    for cell in plan.cells:
        assert cell.flops == pytest.approx(cell.budget_flops, rel=0.01)
        assert cell.tokens == pytest.approx(cell.steps * step.tokens)
        assert cell.warmup_steps <= min(recipe.training.schedule.warmup_steps, 0.1 * cell.steps)
        assert set(cell.overrides) >= {"model.width", "training.steps"}
    rates = {cell.shape.settings.width: cell.learning_rate for cell in plan.cells}
    assert [rates[width] for width in sorted(rates)] == sorted(rates.values(), reverse=True)


def test_the_study_file_holds_the_plan(plan, recipe_path, tmp_path):
    path = tmp_path / "isoflop.toml"
    overrides = ["model.qk_norm=false", "training.device=cpu"]
    write_study(plan, path, recipe_path, 2, ["text", "vision"], overrides)
    study = load_study(path)
    assert study.recipe == recipe_path.resolve()
    assert study.seeds == (0, 1)
    assert study.set == {"model.qk_norm": False, "training.device": "cpu"}
    assert [metric.name for metric in study.metrics] == ["loss_text", "loss_vision"]
    for cell, planned in zip(study.cells, plan.cells, strict=True):
        assert cell.name == planned.name
        assert cell.budget_flops == planned.budget_flops
        assert cell.set == planned.overrides


def test_a_law_sampled_through_the_planner_is_recovered(recipe, step):
    """Real shapes and real FLOPs, losses 1.7 + 406/N^α + 410/D^β with noise."""
    budgets, alpha, beta = [1e17, 4e17, 1.6e18, 6.4e18], 0.34, 0.28
    scale = (alpha * 406 / (beta * 410)) ** (1 / (alpha + beta))
    centre = Centre([(c, scale * (c / 6) ** (beta / (alpha + beta))) for c in budgets])
    large = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(
                update={"width": 1024, "depth": 16, "query_heads": 16, "key_value_heads": 8}
            )
        }
    )
    plan = plan_isoflop(large, step, budgets, 5, centre=centre)
    random = np.random.default_rng(0)
    points = []
    for cell in plan.cells:
        for seed in range(2):
            size = cell.shape.active_parameters
            loss = 1.7 + 406 * size**-alpha + 410 * cell.tokens**-beta
            loss *= math.exp(0.002 * random.standard_normal())
            points.append(
                Point(
                    cell.name,
                    cell.flops,
                    size,
                    cell.tokens,
                    {"text": loss},
                    budget_flops=cell.budget_flops,
                    seed=seed,
                )
            )
    fit = fit_points(points, resamples=200)
    # Attention and heads cost FLOPs beyond 6·N·D, so the exponent is β / (α + γβ).
    truth = beta / (alpha + fit.cost.gamma * beta)
    for estimate in fit.modalities["text"].estimates.values():
        number = estimate.size_exponent
        assert number.low < truth < number.high


@pytest.mark.parametrize(
    ("smallest", "size", "spacing", "warning"),
    [
        (2e12, 2e5, 4.0, "wide enough to bias"),
        (2e9, 1e3, 2.0, "off centre"),
        (2e9, 4e4, 2.0, "fewer than 100 steps"),
    ],
)
def test_doubtful_plans_say_so(recipe, step, smallest, size, spacing, warning):
    budgets = [smallest, 3 * smallest, 10 * smallest]
    plan = plan_isoflop(
        recipe, step, budgets, 5, centre=Centre([(smallest, size)]), spacing=spacing
    )
    assert any(warning in text for text in plan.warnings), plan.warnings


def test_runs_of_so_few_steps_that_they_miss_their_budget_are_refused(recipe, step):
    centre = Centre([(2e9, 1e6)])
    with pytest.raises(UserError, match=r"by more than 1%.*2e09-w176-d11 \(\d\.") as caught:
        plan_isoflop(recipe, step, [2e9, 6e9, 2e10], 5, centre=centre)
    smallest = float(re.search(r"give budgets from about (\S+),", str(caught.value))[1])
    assert smallest > 2e9
    plan_isoflop(recipe, step, [smallest, 3 * smallest, 10 * smallest], 5, centre=centre)


def test_close_budgets_are_doubtful(recipe, step):
    plan = plan_isoflop(recipe, step, [2e9, 3e9, 4e9], 5)
    assert any("budgets span a factor of 2" in text for text in plan.warnings)


@pytest.mark.parametrize(
    ("budgets", "sizes", "message"),
    [
        ([1e9, 2e9], 5, "three or more, each once"),
        ([1e9, 2e9, 2e9], 5, "each once"),
        ([1e9, 1e10, 1e11], 3, "--sizes 3"),
    ],
)
def test_plans_that_cannot_be_fitted_are_refused(recipe, step, budgets, sizes, message):
    with pytest.raises(UserError, match=message):
        plan_isoflop(recipe, step, budgets, sizes)


def test_one_depth_and_a_swept_rate(recipe, step):
    plan = plan_isoflop(
        recipe, step, [2e9, 6e9, 2e10], 5, centre=Centre([(2e9, 3e4)]), depth=3, rate_exponent=1.0
    )
    for cell in plan.cells:
        width = cell.shape.settings.width
        assert cell.shape.settings.depth == 3
        rate = recipe.training.optimizer.learning_rate
        assert cell.learning_rate == pytest.approx(rate * recipe.model.width / width)
    assert plan.rule.endswith("(width / 32)^-1")


def test_the_centre_goes_through_what_is_known():
    assert Centre()(6 * 20 * 1e6**2) == pytest.approx(1e6)
    assert Centre([(1e12, 2e5)])(1e14) == pytest.approx(2e6)
    through = Centre([(1e12, 1e5), (1e14, 1e6), (1e16, 1e6)])
    assert through(1e13) == pytest.approx(10**5.5)
    assert through(1e10) == pytest.approx(1e4)
    assert through(1e17) == pytest.approx(1e6)
