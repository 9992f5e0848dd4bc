"""An IsoFLOP study, from budgets and a number of sizes, as cells and as a study file.

FLOPs are counted by the models' own modules on rows of the recipe's own stream (see
:mod:`chiasm.model.work`); a run's number of steps is the one that comes nearest to its budget.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiasm.errors import UserError
from chiasm.loop.schedule import stable_steps
from chiasm.recipe import Recipe
from chiasm.scaling.flags import OFF_CENTRE, grid_width_flag
from chiasm.scaling.parabola import MINIMUM_SIZES, window
from chiasm.studies.grid import BUDGET_WITHIN, SPACING, Centre, Grid, PlannedCell
from chiasm.studies.shapes import RATE_EXPONENT, Ladder, refuse_fixed_shape
from chiasm.studies.step import Step

MINIMUM_STEPS = 100
"""Below this number, half a step is more than half a percent of a budget."""

SEARCH_FACTOR, SEARCHED = 1.5, 60
"""Search for a budget that can be met: growth per try, and number of tries."""

STUDY_NAME = re.compile(r"[\w.-]+")

BUDGET_SPAN = 10.0
"""Ratio of largest to smallest budget that an exponent needs to be well known."""


@dataclass(frozen=True)
class Plan:
    """The cells of an IsoFLOP study, with warnings."""

    cells: tuple[PlannedCell, ...]
    warnings: tuple[str, ...]
    rule: str
    """Rule by which the learning rate follows from the width."""
    trained_flops: float
    """FLOPs that are trained, one seed each: less where longer runs begin with shorter ones."""

    @property
    def flops(self) -> float:
        """FLOPs of all cells, one seed each."""
        return sum(cell.flops for cell in self.cells)


def plan_isoflop(
    recipe: Recipe,
    step: Step,
    budgets_flops: Sequence[float],
    num_sizes: int,
    *,
    centre: Centre | None = None,
    spacing: float = SPACING,
    depth: int | None = None,
    rate_exponent: float = RATE_EXPONENT,
) -> Plan:
    """Returns the shapes, learning rates and steps of an IsoFLOP study.

    Args:
        recipe: shared by all runs.
        step: content of one of its training steps.
        budgets_flops: budgets of a run.
        num_sizes: models for each budget.
        centre: the expected optima.
        spacing: factor between neighbouring sizes.
        depth: blocks of every model; None: as many as the recipe's aspect asks for.
        rate_exponent: the learning rate is proportional to the width to minus this.

    Raises:
        UserError: too few budgets or sizes, a recipe that fixes what must scale, or cells that
            whole steps bring no nearer to their budget than :data:`BUDGET_WITHIN`.
    """
    budgets = sorted(set(budgets_flops))
    if len(budgets) < 3 or len(budgets) < len(budgets_flops):
        told = ",".join(f"{budget:g}" for budget in budgets_flops)
        raise UserError(f"--budgets {told}: give three or more, each once")
    if budgets[0] <= 0 or spacing <= 1:
        raise UserError("--budgets must be above 0 and --spacing above 1")
    if num_sizes < MINIMUM_SIZES:
        raise UserError(
            f"--sizes {num_sizes}: a parabola with a minimum needs at least {MINIMUM_SIZES}"
        )
    refuse_fixed_shape(recipe.model)
    ladder = Ladder(recipe.model, step, depth)
    grid = Grid(
        recipe, step, ladder, centre or Centre(), num_sizes, spacing, rate_exponent, budgets
    )
    cells, warnings = [], []
    if budgets[-1] / budgets[0] < BUDGET_SPAN:
        warnings.append(
            f"budgets span a factor of {budgets[-1] / budgets[0]:.3g}; below {BUDGET_SPAN:g} "
            "exponents will be poorly known"
        )
    for budget in budgets:
        own = grid.cells(budget)
        warnings += [f"budget {budget:.3g}: {text}" for text in _doubts(own, grid.centre(budget))]
        cells += own
    if off := [cell for cell in cells if cell.misses]:
        raise UserError(_missed(off, grid))
    rate, width = recipe.training.optimizer.learning_rate, recipe.model.width
    rule = f"learning rate {rate:g} · (width / {width})^-{rate_exponent:g}"
    return Plan(tuple(cells), tuple(warnings), rule, _trained(cells, grid))


def _trained(cells: Sequence[PlannedCell], grid: Grid) -> float:
    """Returns the FLOPs of the cells without those of first steps that a longer one makes."""
    flops = sum(cell.flops for cell in cells)
    if not grid.shares:
        return flops
    for shape in {cell.shape.name: cell.shape for cell in cells}.values():
        steps = sorted(cell.steps for cell in cells if cell.shape.name == shape.name)
        schedule = grid.recipe.training.schedule
        flops -= sum(stable_steps(schedule, own) * shape.step_flops for own in steps[:-1])
    return flops


def _missed(off: Sequence[PlannedCell], grid: Grid) -> str:
    """Returns a message on cells that miss their budget, with a budget that they would meet."""
    told = ", ".join(f"{cell.name} ({cell.flops / cell.budget_flops:.3f})" for cell in off)
    budget = off[0].budget_flops
    for _ in range(SEARCHED):
        budget *= SEARCH_FACTOR
        if min(cell.steps for cell in grid.cells(budget)) > 0.5 / BUDGET_WITHIN:
            break  # half a step is too little to miss it by
    return (
        f"whole steps miss the budget by more than {BUDGET_WITHIN:.0%} (used / budget): {told}; "
        f"give budgets from about {budget:.1e}, or let a step read less "
        f"(--set stream.batch_size=1; it is {grid.recipe.stream.batch_size} now), or "
        "centre smaller sizes (--centre)"
    )


def _doubts(cells: Sequence[PlannedCell], expected: float) -> list[str]:
    """Returns warnings about one budget's sizes, by the rule of the fit's own window."""
    sizes = np.array([cell.shape.active_parameters for cell in cells], dtype=float)
    about = sizes[window(sizes, sizes[np.abs(np.log(sizes / expected)).argmin()])]
    low, high = about.min(), about.max()
    doubts = []
    if flag := grid_width_flag(high / low):
        doubts.append(flag)
    off = math.log(expected / math.sqrt(high * low)) / (math.log(high / low) / 2)
    if abs(off) > OFF_CENTRE:
        doubts.append(
            f"the sizes {low:.3g} to {high:.3g} are off centre: the expected optimum "
            f"{expected:.3g} lies {abs(off):.0%} of the way to their edge"
        )
    few = [cell.name for cell in cells if cell.steps < MINIMUM_STEPS]
    if few:
        doubts.append(
            f"{', '.join(few)} train for fewer than {MINIMUM_STEPS} steps, and rows differ: they "
            "may miss their budget by two percent, which chiasm study run refuses; use larger "
            "budgets"
        )
    return doubts


def write_study(
    plan: Plan,
    path: Path,
    recipe_path: Path,
    num_seeds: int,
    modalities: Sequence[str],
    overrides: Sequence[str] = (),
) -> None:
    """Writes the plan as a study file; the recipe is named relative to it.

    ``overrides`` of the recipe, as ``dotted.name=value``, hold for all cells.
    """
    relative = os.path.relpath(recipe_path.resolve(), path.resolve().parent)
    metrics = {"text": "text_loss", "vision": "flow_loss"}
    lines = [
        "# An IsoFLOP study, made by chiasm scaling plan: each cell spends its budget.",
        f"# {plan.rule}.",
        "",
        f"name = {json.dumps(path.stem)}",
        'question = "Which size is best for each modality at each compute budget?"',
        f"recipe = {json.dumps(relative)}",
        f"seeds = {list(range(num_seeds))}",
        *(f"\n# {warning}" for warning in plan.warnings),
        *(["", "[set]"] if overrides else []),
        *(_setting(override) for override in overrides),
    ]
    for modality in modalities:
        lines += [
            "",
            "[[metrics]]",
            f'name = "loss_{modality}"',
            f'validation = "{metrics[modality]}"',
        ]
    for cell in plan.cells:
        lines += [
            "",
            f"# {cell.shape.active_parameters} active of {cell.shape.total_parameters} parameters,"
            f" {cell.tokens:.4g} positions, {cell.flops:.6g} FLOPs",
            "[[cells]]",
            f"name = {json.dumps(cell.name)}",
            f"budget_flops = {cell.budget_flops!r}",
            "[cells.set]",
            *(f"{json.dumps(name)} = {value!r}" for name, value in cell.overrides.items()),
        ]
    path.write_text("\n".join(lines) + "\n")


def _setting(override: str) -> str:
    name, _, text = override.partition("=")
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:  # a bare string, as --set takes it
        text = json.dumps(text.strip())
    return f"{json.dumps(name.strip())} = {text.strip()}"
