"""Plans by search and without: errors on the same held-out scenes, and processor seconds a plan.

The run was trained with action videos with horizons and with documents of inverse dynamics. The two
ways take turns scene by scene where they are timed; imagining the views along a finished plan,
which both do to be looked at, is left out.

    python benchmarks/plans.py RUN [--scenes 192] [--steps 2,3,4] [--timed 12] [--record REMARK]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from record import write_record

from chiasm.assembly import open_material
from chiasm.capabilities import PosedVideos
from chiasm.evaluation.planning import plan_scenes
from chiasm.evaluation.plans import plan_rows
from chiasm.evaluation.run import Run
from chiasm.evaluation.scenes import pick_scenes
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe
from chiasm.worldmodel.cost import FeatureCost
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.inverse import InverseDynamicsPlanner
from chiasm.worldmodel.planner import build_planner, build_prior
from chiasm.worldmodel.rollout import Context


class Unseen(DirectViews):
    """Shows nothing of a finished plan: only search looks at what it imagines."""

    def imagine(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], **_: object
    ) -> list[np.ndarray]:
        return [
            np.stack([own.views[-1]] * len(told))
            for own, told in zip(contexts, actions, strict=True)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scenes", type=int, default=192)
    parser.add_argument("--steps", default="2,3,4")
    parser.add_argument("--timed", type=int, default=12)
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    recipe = load_recipe(asked.run / "recipe.toml")
    sources = {
        name: source
        for name, source in recipe.stream.sources.items()
        if (steps := source.steps(recipe.tables)) is not None and steps.posed
    }
    stream = recipe.stream.model_copy(update={"sources": sources})
    material = open_material(recipe.model_copy(update={"stream": stream}))
    name, held_out = next(iter(material.posed_videos().items()))
    train = material.training_walks(name)
    assert isinstance(train, PosedVideos)
    run = Run(Pretrained.load(asked.run), material, recipe.evaluation)
    figures: dict[str, object] = {}
    for steps in map(int, asked.steps.split(",")):
        settings = recipe.evaluation.planner.model_copy(update={"steps": steps})
        without = settings.model_copy(update={"method": "inverse_dynamics"})
        found = {}
        for way, planner in (("search", settings), ("inverse dynamics", without)):
            planned = plan_scenes(run, asked.scenes, planner, train, held_out)
            rows = plan_rows(planned, recipe.evaluation.seed)
            found[way] = {f"{row.name} against {row.baseline_name}": told(row) for row in rows}
            for row in rows[:2]:
                print(
                    f"{steps} steps, {way}: {row.name} {row.value:.3f} ± {row.standard_error:.3f}, "
                    f"to {row.baseline_name} {row.difference:+.3f} ± {row.difference_se:.3f}",
                    flush=True,
                )
        seconds = timed(run, settings, train, held_out, asked.timed)
        print(f"{steps} steps: {seconds} processor seconds a plan", flush=True)
        figures[str(steps)] = {**found, "processor_seconds_a_plan": seconds}
    if asked.record is not None:
        write_record("plans", {"remark": asked.record, "scenes": asked.scenes, **figures})


def timed(run: Run, settings, train: PosedVideos, held_out: PosedVideos, count: int) -> dict:
    """Median processor seconds of a plan, by way; ways take turns."""
    actions = run.pretrained.actions
    prior = build_prior(settings, train, actions)
    sampling = run.settings.imagining.model_copy(update={"steps": settings.solver_steps})
    world_model, cost = Unseen(run.pretrained, sampling), FeatureCost(run.pretrained)
    planners = {
        "search": build_planner(settings, train, actions),
        "inverse dynamics": InverseDynamicsPlanner(run.pretrained, prior, actions),
    }
    spent: dict[str, list[float]] = {way: [] for way in planners}
    for scene in pick_scenes(run, held_out, count, settings.steps):
        for way, planner in planners.items():
            began = time.process_time()
            planner.plan(world_model, scene.context, scene.goal_HW3, cost)
            spent[way].append(time.process_time() - began)
    return {way: round(median(own), 4) for way, own in spent.items()}


def told(row) -> list[float]:
    numbers = (row.value, row.standard_error, row.baseline, row.difference, row.difference_se)
    return [round(number, 4) for number in numbers]


if __name__ == "__main__":
    main()
