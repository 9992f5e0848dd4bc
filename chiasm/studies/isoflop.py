"""An IsoFLOP study, from budgets and a number of sizes, as cells and as a study file.

For each budget, sizes are spread evenly in ln N about the expected optimum. FLOPs are counted by
the models' own modules on rows of the recipe's own stream (see :mod:`chiasm.model.work`); a run's
number of steps is the one whose FLOPs come nearest to the budget.
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
from chiasm.recipe import Recipe
from chiasm.scaling.flags import OFF_CENTRE, grid_width_flag
from chiasm.scaling.parabola import MINIMUM_SIZES, window
from chiasm.studies.shapes import (
    RATE_EXPONENT,
    WARMUP_SHARE,
    Ladder,
    Shape,
    learning_rate,
    refuse_fixed_shape,
)
from chiasm.studies.step import Step

TOKENS_PER_PARAMETER = 20.0
"""Expected optimum where nothing else is known: 6·N·D = C with D = 20·N, the rule of thumb for text
(arXiv 2203.15556, table 3). Vision's optimum has fewer tokens per parameter at small budgets
(about a quarter of text's at 6e18 FLOPs, arXiv 2603.03276).
"""

SPACING = 2.0
"""Factor between neighbouring sizes."""

MINIMUM_STEPS = 100
"""Below this number, half a step is more than half a percent of a budget."""

BUDGET_WITHIN = 0.01
"""Most that whole steps may miss a budget by, as a share of it."""

SEARCH_FACTOR, SEARCHED = 1.5, 60
"""Search for a budget that can be met: growth per try, and number of tries."""

STUDY_NAME = re.compile(r"[\w.-]+")

BUDGET_SPAN = 10.0
"""Ratio of largest to smallest budget that an exponent needs to be well known."""


@dataclass(frozen=True)
class PlannedCell:
    """One size at one budget."""

    budget_flops: float
    shape: Shape
    steps: int
    flops: float
    """Expected FLOPs of all steps."""
    tokens: float
    learning_rate: float
    warmup_steps: int

    @property
    def misses(self) -> bool:
        """Whether whole steps come no nearer to the budget than :data:`BUDGET_WITHIN`."""
        return abs(self.flops / self.budget_flops - 1) > BUDGET_WITHIN

    @property
    def name(self) -> str:
        """Name of the cell, such as 3e12-w64-d2."""
        return f"{self.budget_flops:.3g}-{self.shape.name}".replace("+", "")

    @property
    def overrides(self) -> dict[str, float]:
        """Settings of the recipe that the cell changes, by dotted name."""
        return {
            **self.shape.overrides,
            "training.optimizer.learning_rate": float(f"{self.learning_rate:.4g}"),
            "training.schedule.warmup_steps": self.warmup_steps,
            "training.steps": self.steps,
        }


@dataclass(frozen=True)
class Plan:
    """The cells of an IsoFLOP study, with warnings."""

    cells: tuple[PlannedCell, ...]
    warnings: tuple[str, ...]
    rule: str
    """Rule by which the learning rate follows from the width."""

    @property
    def flops(self) -> float:
        """FLOPs of all cells, one seed each."""
        return sum(cell.flops for cell in self.cells)


class Centre:
    """The expected optimal size as a function of the budget.

    Args:
        known: (budget, active parameters) pairs; a line in logarithms through one pair has
            exponent 0.5, through more it joins them and goes on at its ends. None: the rule of
            :data:`TOKENS_PER_PARAMETER`.
    """

    def __init__(self, known: Sequence[tuple[float, float]] = ()) -> None:
        self.known = sorted(known)

    def __call__(self, budget_flops: float) -> float:
        """Returns the expected optimal number of active parameters."""
        if not self.known:
            return math.sqrt(budget_flops / (6 * TOKENS_PER_PARAMETER))
        x, y = np.log(np.array(self.known)).T
        if len(x) == 1:
            return float(np.exp(y[0] + 0.5 * (math.log(budget_flops) - x[0])))
        here = math.log(budget_flops)
        last = max(0, min(int(np.searchsorted(x, here)) - 1, len(x) - 2))
        slope = (y[last + 1] - y[last]) / (x[last + 1] - x[last])
        return float(np.exp(y[last] + slope * (here - x[last])))


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
    grid = _Grid(recipe, step, ladder, centre or Centre(), num_sizes, spacing, rate_exponent)
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
    return Plan(tuple(cells), tuple(warnings), rule)


@dataclass(frozen=True)
class _Grid:
    """The rule that gives the cells of any budget."""

    recipe: Recipe
    step: Step
    ladder: Ladder
    centre: Centre
    num_sizes: int
    spacing: float
    rate_exponent: float

    def cells(self, budget: float) -> list[PlannedCell]:
        """Returns the cells of one budget, by size."""
        training, width = self.recipe.training, self.recipe.model.width
        rate, cells = training.optimizer.learning_rate, []
        for shape in self._shapes(self.centre(budget)):
            steps = max(round(budget / shape.step_flops), 1)
            # Short runs would end before a warm-up of the recipe's length does.
            own = learning_rate(rate, width, shape.settings.width, self.rate_exponent)
            warmup = min(training.schedule.warmup_steps, int(WARMUP_SHARE * steps))
            flops, tokens = steps * shape.step_flops, steps * self.step.tokens
            cells.append(PlannedCell(budget, shape, steps, flops, tokens, own, warmup))
        return cells

    def _shapes(self, centre: float) -> list[Shape]:
        chosen: list[Shape] = []
        for number in range(self.num_sizes):
            wanted = centre * self.spacing ** (number - (self.num_sizes - 1) / 2)
            shape = self.ladder.nearest(wanted, chosen)
            if shape is not None:
                chosen.append(shape)
        return sorted(chosen, key=lambda shape: shape.active_parameters)


def _missed(off: Sequence[PlannedCell], grid: _Grid) -> str:
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
