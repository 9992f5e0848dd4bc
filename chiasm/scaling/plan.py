"""An IsoFLOP study from budgets and a number of sizes, as a study file that the runner runs.

For each budget, sizes are spread evenly in ln N about the expected optimum. FLOPs are counted by
the models' own modules on what the recipe's own stream really reads (see :mod:`chiasm.model.work`);
a run's number of steps is the one whose FLOPs come nearest to the budget.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from chiasm.assembly import build_inputs, build_stream, check_vision, open_material
from chiasm.assembly.objects import Stage, silent
from chiasm.data.batch import Modality
from chiasm.errors import UserError
from chiasm.model import Work
from chiasm.recipe import Recipe
from chiasm.scaling.flags import OFF_CENTRE, grid_width_flag
from chiasm.scaling.parabola import MINIMUM_SIZES
from chiasm.scaling.shapes import (
    WARMUP_SHARE,
    Ladder,
    Shape,
    Step,
    learning_rate,
    refuse_fixed_shape,
)

TOKENS_PER_PARAMETER = 20.0
"""The expected optimum where nothing else is known: 6·N·D = C with D = 20·N, the rule of thumb
for text (arXiv 2203.15556, table 3). Vision's optimum has fewer tokens per parameter at small
budgets (about a quarter of text's at 6e18 FLOPs, arXiv 2603.03276)."""

SPACING = 2.0
"""Factor between neighbouring sizes."""

COUNTED_BATCHES = 256
"""Batches of the recipe's stream whose work is averaged."""

MINIMUM_STEPS = 100
"""Below it, half a step is more than half a percent of a budget."""

BUDGET_WITHIN = 0.01
"""Share by which whole steps may miss a budget."""

STUDY_NAME = re.compile(r"[\w.-]+")

BUDGET_SPAN = 10.0
"""Largest over smallest budget that an exponent needs to be known."""


@dataclass(frozen=True)
class PlannedCell:
    """One size at one budget."""

    budget_flops: float
    shape: Shape
    steps: int
    flops: float
    """That the steps are expected to use."""
    tokens: float
    learning_rate: float
    warmup_steps: int

    @property
    def name(self) -> str:
        """Such as 3e12-w64-d2."""
        return f"{self.budget_flops:.3g}-{self.shape.name}".replace("+", "")

    @property
    def overrides(self) -> dict[str, float]:
        """Settings of the recipe that the cell changes, by dotted name."""
        return {
            **self.shape.overrides,
            "training.optimiser.learning_rate": float(f"{self.learning_rate:.4g}"),
            "training.schedule.warmup_steps": self.warmup_steps,
            "training.steps": self.steps,
        }


@dataclass(frozen=True)
class Plan:
    """The cells of an IsoFLOP study and what is doubtful about them."""

    cells: tuple[PlannedCell, ...]
    warnings: tuple[str, ...]

    @property
    def flops(self) -> float:
        """Of all cells, one seed each."""
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
        """Active parameters."""
        if not self.known:
            return math.sqrt(budget_flops / (6 * TOKENS_PER_PARAMETER))
        x, y = np.log(np.array(self.known)).T
        if len(x) == 1:
            return float(np.exp(y[0] + 0.5 * (math.log(budget_flops) - x[0])))
        here = math.log(budget_flops)
        last = max(0, min(int(np.searchsorted(x, here)) - 1, len(x) - 2))
        slope = (y[last + 1] - y[last]) / (x[last + 1] - x[last])
        return float(np.exp(y[last] + slope * (here - x[last])))


def count_step(recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent) -> Step:
    """Average what the recipe's stream reads in one step, over :data:`COUNTED_BATCHES` batches."""
    check_vision(recipe, cache_folder, on_stage)
    material = open_material(recipe, cache_folder, on_stage)
    inputs = build_inputs(recipe, material.train, cache_folder, on_stage)
    stream = build_stream(recipe, material.train, inputs, recipe.seed)
    works, modalities = [], np.zeros(2)
    try:
        for batch in islice(stream, COUNTED_BATCHES):
            works.append(Work.useful(batch))
            kinds = (Modality.TEXT, Modality.VISION)
            modalities += [int((batch.modality_BT == kind).sum()) for kind in kinds]
    finally:
        stream.close()
    per_step = recipe.training.batches_per_step / len(works)
    return Step(
        work=Work(**{name: sum(getattr(w, name) for w in works) for name in vars(works[0])}),
        batches=len(works),
        batches_per_step=recipe.training.batches_per_step,
        vocabulary=inputs.text_tokenizer.vocabulary_size,
        latent_channels=inputs.vision_tokenizer.channels,
        text_tokens=float(modalities[0]) * per_step,
        vision_tokens=float(modalities[1]) * per_step,
        context_channels=inputs.vision_tokenizer.context_channels,
    )


def plan_isoflop(
    recipe: Recipe,
    step: Step,
    budgets_flops: Sequence[float],
    num_sizes: int,
    *,
    centre: Centre | None = None,
    spacing: float = SPACING,
) -> Plan:
    """Choose shapes, learning rates and steps.

    Raises:
        UserError: too few budgets or sizes, a recipe that fixes what must scale, or cells that
            whole steps bring no nearer to their budget than :data:`BUDGET_WITHIN`.
    """
    budgets = sorted(set(budgets_flops))
    if len(budgets) < 3 or len(budgets) < len(budgets_flops):
        raise UserError(f"--budgets {_list(budgets_flops)}: give three or more, each once")
    if budgets[0] <= 0 or spacing <= 1:
        raise UserError("--budgets must be above 0 and --spacing above 1")
    if num_sizes < MINIMUM_SIZES:
        raise UserError(
            f"--sizes {num_sizes}: a parabola with a minimum needs at least {MINIMUM_SIZES}"
        )
    refuse_fixed_shape(recipe.model)
    ladder, centre = Ladder(recipe.model, step), centre or Centre()
    cells, warnings = [], []
    if budgets[-1] / budgets[0] < BUDGET_SPAN:
        warnings.append(
            f"budgets span a factor of {budgets[-1] / budgets[0]:.3g}; below {BUDGET_SPAN:g} "
            "exponents will be poorly known"
        )
    for budget in budgets:
        shapes = _shapes(ladder, centre(budget), num_sizes, spacing)
        own = [_cell(recipe, step, budget, shape) for shape in shapes]
        warnings += [f"budget {budget:.3g}: {text}" for text in _doubts(own, centre(budget))]
        cells += own
    off = [cell for cell in cells if abs(cell.flops / cell.budget_flops - 1) > BUDGET_WITHIN]
    if off:
        told = ", ".join(f"{cell.name} ({cell.flops / cell.budget_flops:.3f})" for cell in off)
        raise UserError(
            f"whole steps miss the budget by more than {BUDGET_WITHIN:.0%} (used / budget): "
            f"{told}; use smaller batches, larger budgets or smaller sizes"
        )
    return Plan(tuple(cells), tuple(warnings))


def write_study(
    plan: Plan,
    path: Path,
    recipe_path: Path,
    num_seeds: int,
    modalities: Sequence[str],
    overrides: Sequence[str] = (),
) -> None:
    """Write the plan as a study file; the recipe is named relative to it.

    ``overrides`` of the recipe, as ``dotted.name=value``, hold for all cells.
    """
    relative = os.path.relpath(recipe_path.resolve(), path.resolve().parent)
    metrics = {"text": "text_loss", "vision": "flow_loss"}
    lines = [
        "# An IsoFLOP study, made by chiasm scaling plan: each cell spends its budget exactly.",
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


def _shapes(ladder: Ladder, centre: float, num_sizes: int, spacing: float) -> list[Shape]:
    chosen: list[Shape] = []
    for number in range(num_sizes):
        wanted = centre * spacing ** (number - (num_sizes - 1) / 2)
        shape = ladder.nearest(wanted, chosen)
        if shape is not None:
            chosen.append(shape)
    return sorted(chosen, key=lambda shape: shape.active_parameters)


def _cell(recipe: Recipe, step: Step, budget: float, shape: Shape) -> PlannedCell:
    training = recipe.training
    steps = max(round(budget / shape.step_flops), 1)
    warmup = min(training.schedule.warmup_steps, int(WARMUP_SHARE * steps))
    rate = learning_rate(training.optimiser.learning_rate, recipe.model.width, shape.settings.width)
    return PlannedCell(
        budget, shape, steps, steps * shape.step_flops, steps * step.tokens, rate, warmup
    )


def _doubts(cells: Sequence[PlannedCell], expected: float) -> list[str]:
    sizes = [cell.shape.active_parameters for cell in cells]
    doubts = []
    if flag := grid_width_flag(max(sizes) / min(sizes)):
        doubts.append(flag)
    half_span = math.log(max(sizes) / min(sizes)) / 2
    off = math.log(expected / math.sqrt(max(sizes) * min(sizes))) / half_span
    if abs(off) > OFF_CENTRE:
        doubts.append(
            f"the sizes {min(sizes):.3g} to {max(sizes):.3g} are off centre: the expected optimum "
            f"{expected:.3g} lies {abs(off):.0%} of the way to the edge"
        )
    few = [cell.name for cell in cells if cell.steps < MINIMUM_STEPS]
    if few:
        doubts.append(
            f"{', '.join(few)} train for fewer than {MINIMUM_STEPS} steps, so whole steps may "
            "miss the budget by a percent; use smaller batches"
        )
    return doubts


def _list(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
