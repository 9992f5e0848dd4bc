"""Settings of the planner, and presets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from chiasm.errors import setting
from chiasm.settings import Settings

MODEL, ORACLE = "model", "oracle"
"""World models that plans may be imagined with."""
BASELINES = ("no motion", "straight line")
"""Planners that ignore the goal (:func:`~.planner.build_baselines`)."""


class PlannerSettings(Settings):
    """How plans are sought; the defaults fit the embedded world's walks."""

    method: Literal["cross_entropy", "mppi", "random_shooting", "inverse_dynamics"] = (
        "cross_entropy"
    )
    """What an iteration does to the proposal: refits it to the best paths, or to all by their
    costs, or leaves it as it is. ``inverse_dynamics`` does not search: the model writes the step
    from the start to the goal, and the most usual path that leads there is the plan."""
    paths: Literal["steps", "straight"] = "steps"
    """Each step from those of training, or one constant motion with a turn at its end."""
    steps: int = Field(3, ge=2)
    """Steps of a plan, as many as the held-out walk takes from its start to its goal."""
    samples: int = Field(64, ge=2)
    """Paths imagined in each iteration."""
    elites: int = Field(8, ge=1)
    """cross_entropy: the best paths, to which the proposal is refitted."""
    iterations: int = Field(3, ge=1)
    """How often paths are drawn."""
    repeats: int = Field(1, ge=1)
    """How often each path is imagined, with other noise; the costs are averaged."""
    temperature: float = Field(0.3, gt=0)
    """mppi: λ, in standard deviations of the costs of an iteration."""
    result: Literal["best", "centre"] = "best"
    """The plan is the best path drawn (of several as good, the most usual in training), or the
    refitted proposal's centre."""
    cost: Literal["features", "lpips"] = "features"
    """Distance of the last imagined view to the goal: in the frozen vision encoder, or LPIPS."""
    lpips_weights: Path | None = None
    """Folder with ``alexnet-owt-7be5be79.pth`` and ``alex.pth``."""
    prediction: Literal["autoregressive", "direct"] = "autoregressive"
    """A path's views one after another, or each in one step from the start, by the sum of the
    actions up to it: of a model that was trained to look so far ahead."""
    solver_steps: int = Field(10, ge=1)
    """Of the flow, for each imagined view; one gives the mean of what may be seen."""

    @model_validator(mode="after")
    def _check(self) -> PlannerSettings:
        if self.elites > self.samples:
            why = f"are more than {self.assigned('samples')}"
            raise self.error("elites", why, "lower it, or draw more samples")
        if self.method == "random_shooting" and self.result == "centre":
            raise self.error("method", "refits nothing", f'set {setting("result")} = "best"')
        if self.cost == "lpips" and self.lpips_weights is None:
            files = "a folder with alexnet-owt-7be5be79.pth and alex.pth"
            why = f"needs {setting('lpips_weights')}, {files}"
            raise self.error("cost", why, 'without them plan with "features"')
        return self


PRESETS: dict[str, dict[str, object]] = {
    "embedded-world": {},
    "thorough": {"samples": 384, "elites": 24, "iterations": 4},
    "navigation-world-models": {
        "paths": "straight",
        "steps": 8,
        "samples": 120,
        "elites": 5,
        "iterations": 1,
        "repeats": 3,
        "result": "centre",
    },
}
"""Settings by name. Navigation World Models cost by LPIPS, for which ``cost`` is to be set, and
have priors by hand, where plans here begin with the statistics of the training walks."""
