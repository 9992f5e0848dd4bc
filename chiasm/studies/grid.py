"""The sizes of an IsoFLOP study at each budget, spread evenly in ln N about the expected optimum.

Where longer runs of a size begin with the shorter ones (see :mod:`chiasm.studies.branches`), all
budgets take their sizes from one ladder, and runs of a size share their warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.recipe import Recipe
from chiasm.studies.shapes import WARMUP_SHARE, Ladder, Shape, learning_rate
from chiasm.studies.step import Step

TOKENS_PER_PARAMETER = 20.0
"""Expected optimum where nothing else is known: 6·N·D = C with D = 20·N, the rule of thumb for text
(arXiv 2203.15556, table 3). Vision's optimum has fewer tokens per parameter at small budgets
(about a quarter of text's at 6e18 FLOPs, arXiv 2603.03276).
"""

SPACING = 2.0
"""Factor between neighbouring sizes."""

BUDGET_WITHIN = 0.01
"""Most that whole steps may miss a budget by, as a share of it."""


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


@dataclass(frozen=True)
class Grid:
    """The rule that gives the cells of any budget."""

    recipe: Recipe
    step: Step
    ladder: Ladder
    centre: Centre
    num_sizes: int
    spacing: float
    rate_exponent: float
    budgets: Sequence[float]

    @property
    def shares(self) -> bool:
        """Whether longer runs of a size begin with the shorter ones."""
        return self.recipe.training.schedule.shape == "wsd"

    def cells(self, budget: float) -> list[PlannedCell]:
        """Returns the cells of one budget, by size."""
        training, width = self.recipe.training, self.recipe.model.width
        rate, cells = training.optimizer.learning_rate, []
        for shape in self._shapes(self.centre(budget)):
            steps = steps_of(budget, shape)
            own = learning_rate(rate, width, shape.settings.width, self.rate_exponent)
            warmup = self._warmup(shape, steps)
            flops, tokens = steps * shape.step_flops, steps * self.step.tokens
            cells.append(PlannedCell(budget, shape, steps, flops, tokens, own, warmup))
        return cells

    def _warmup(self, shape: Shape, steps: int) -> int:
        """Returns the recipe's warm-up, or a tenth of the run, or of the shortest run that shares
        its first steps."""
        if self.shares:
            runs = (steps_of(budget, shape) for budget in self.budgets if shape in self._of(budget))
            steps = min(runs, default=steps)
        return min(self.recipe.training.schedule.warmup_steps, int(WARMUP_SHARE * steps))

    def _of(self, budget: float) -> list[Shape]:
        return self._shapes(self.centre(budget))

    def _shapes(self, centre: float) -> list[Shape]:
        if self.shares:  # budgets have sizes in common
            first = self.centre(self.budgets[0])
            centre = first * self.spacing ** round(math.log(centre / first, self.spacing))
        chosen: list[Shape] = []
        for number in range(self.num_sizes):
            wanted = centre * self.spacing ** (number - (self.num_sizes - 1) / 2)
            shape = self.ladder.nearest(wanted, chosen)
            if shape is not None:
                chosen.append(shape)
        return sorted(chosen, key=lambda shape: shape.active_parameters)


def steps_of(budget: float, shape: Shape) -> int:
    """Returns the number of steps that come nearest to a budget."""
    return max(round(budget / shape.step_flops), 1)
