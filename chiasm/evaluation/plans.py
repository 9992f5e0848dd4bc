"""Plans to a goal picture, against the path truly taken: the model's, the oracle's, and baselines.

Every planner is given the same scenes. Trajectories move by what the plan's actions say, from the
true start; they are not stopped by walls, as in the protocol that ATE and RPE come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from chiasm.actions import PREFIX, ActionFormat
from chiasm.documents import ActionVideos
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.rows import Better, Measurement, Row
from chiasm.evaluation.scenes import Scene, pick_scenes
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.poses import Pose, compose
from chiasm.worldmodel.cost import Cost, FeatureCost
from chiasm.worldmodel.lpips import Lpips
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.planner import (
    Plan,
    Planner,
    WorldModel,
    build_baselines,
    build_planner,
)
from chiasm.worldmodel.rollout import Rollouts
from chiasm.worldmodel.settings import PlannerSettings
from chiasm.worldmodel.trajectory import TrajectoryError, refuse_missing_evo, trajectory_error
from chiasm.worlds import WorldSource

SECTION = "plans"
MODEL, ORACLE = "model", "oracle"
BASELINES = ("no motion", "straight line")
SUCCESS_METRES = (0.5, 1.0)

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many scenes are, and how many there are."""


@dataclass(frozen=True, eq=False)
class PlannedScene:
    """One scene with what each planner proposed, by the planner's name."""

    scene: Scene
    plans: dict[str, Plan]
    trajectories: dict[str, tuple[Pose, ...]]
    """After each step."""
    errors: dict[str, TrajectoryError]


def measure_plans(
    pretrained: Pretrained,
    train: ActionVideos,
    source: ActionVideos,
    settings: EvaluationSettings,
    of: str = "",
) -> tuple[list[Row], list[Sample]]:
    """Rows on the model's plans, and scenes to look at.

    ``train`` gives the planner's prior; ``of`` follows the rows' names, where several sources are
    measured.

    Raises:
        NothingToMeasure: the held-out walks are too short.
        UserError: evo or weights of LPIPS are missing, or the model knows no actions.
    """
    planned = plan_scenes(pretrained, train, source, settings)
    shown = spread(len(planned), settings.shown)
    return plan_rows(planned, settings.seed, of), [_sample(planned[n]) for n in shown]


def plan_scenes(
    pretrained: Pretrained,
    train: ActionVideos,
    source: ActionVideos,
    settings: EvaluationSettings,
    *,
    world_models: Sequence[str] = (MODEL,),
    progress: Progress | None = None,
) -> list[PlannedScene]:
    """Every scene planned with each of ``world_models`` (model, oracle), and by the baselines.

    The first of them imagines what the baselines lead to.

    Raises:
        NothingToMeasure, UserError: as :func:`measure_plans`, or an oracle of recorded walks.
    """
    refuse_missing_evo()
    planner_settings, actions = settings.planner, pretrained.actions
    sampling = SamplingSettings(
        steps=planner_settings.solver_steps,
        guidance=settings.next_view_guidance,
        rows_at_once=settings.rows_per_batch,
    )
    cost = _cost(pretrained, planner_settings)
    shape = pretrained.vision_tokenizer.image_shape
    count, history = settings.plans, settings.history_frames
    scenes = pick_scenes(source, count, history, planner_settings.steps, shape)
    once = planner_settings.model_copy(update={"repeats": 1})  # the oracle has no luck to average
    contenders: dict[str, tuple[Planner, WorldModel]] = {}
    done = []
    with ExitStack() as running:
        for name in world_models:
            if name == ORACLE:
                engine = running.enter_context(_oracle(source, pretrained))
                contenders[ORACLE] = build_planner(once, train, actions), engine
            else:
                rollouts = Rollouts.of(pretrained, sampling)
                contenders[MODEL] = build_planner(planner_settings, train, actions), rollouts
        _, first = contenders[world_models[0]]
        for name, baseline in build_baselines(planner_settings, train, actions).items():
            contenders[name] = baseline, first
        for number, scene in enumerate(scenes):
            if progress is not None:
                progress("planning", number, len(scenes))
            done.append(_planned(scene, contenders, actions, cost, settings.seed + number))
    if progress is not None:
        progress("planning", len(scenes), len(scenes))
    return done


def _oracle(source: ActionVideos, pretrained: Pretrained) -> Oracle:
    if not isinstance(source, WorldSource):
        raise UserError(
            f"source {source.name!r} has no oracle: only the embedded world's engine can show "
            "what an action leads to. Leave --oracle out"
        )
    shape, world = pretrained.vision_tokenizer.image_shape, source.world
    actions = pretrained.actions
    return Oracle(world.settings, world.split, actions, shape, stops_at_walls=False)


def _cost(pretrained: Pretrained, settings: PlannerSettings) -> Cost:
    if settings.cost == "features":
        return FeatureCost(pretrained)
    assert settings.lpips_weights is not None  # the settings refuse it
    return Lpips(settings.lpips_weights.expanduser(), pretrained.device)


def _planned(
    scene: Scene,
    contenders: dict[str, tuple[Planner, WorldModel]],
    actions: ActionFormat,
    cost: Cost,
    seed: int,
) -> PlannedScene:
    plans = {
        name: planner.plan(world_model, scene.context, scene.goal_HW3, cost, seed)
        for name, (planner, world_model) in contenders.items()
    }
    trajectories = {name: _moved(scene.start, plan, actions) for name, plan in plans.items()}
    errors = {name: trajectory_error(way, scene.truth) for name, way in trajectories.items()}
    return PlannedScene(scene, plans, trajectories, errors)


def _moved(start: Pose, plan: Plan, actions: ActionFormat) -> tuple[Pose, ...]:
    poses = [start]
    for text in plan.actions:
        poses.append(compose(poses[-1], actions.read(text).step))
    return tuple(poses[1:])


def plan_rows(planned: Sequence[PlannedScene], seed: int, of: str = "") -> list[Row]:
    """Every measure of the model's plans and, where it planned, of the oracle's, by baseline.

    ATE is also given for goals in sight and out of sight, where the map tells and there are both.
    """
    rows = []
    for name in (MODEL, ORACLE):
        if name in planned[0].plans:
            whose = f"{'plans' if name == MODEL else 'plans with the oracle'}{of}"
            rows += _rows(planned, name, whose, seed)
    return rows


def _rows(planned: Sequence[PlannedScene], name: str, whose: str, seed: int) -> list[Row]:
    def rows(
        what: str,
        unit: str,
        better: Better,
        value: Callable[[TrajectoryError], float],
        scenes: Sequence[PlannedScene] = planned,
        headline: bool = False,
    ) -> list[Row]:
        places = np.array([each.scene.place for each in scenes])
        measure = Measurement(SECTION, unit, better, seed, places)
        of = {
            planner: [value(each.errors[planner]) for each in scenes]
            for planner in (name, *BASELINES)
        }
        return [
            measure.row(what, of[name], of[baseline], baseline, headline=headline)
            for baseline in BASELINES
        ]

    found = rows(
        f"ATE of {whose}", "m", "lower", lambda e: e.ate_metres, headline=name == MODEL
    ) + rows(f"RPE of {whose}", "m", "lower", lambda e: e.rpe_metres)
    for sight, words in ((True, "in sight"), (False, "out of sight")):
        scenes = [each for each in planned if each.scene.goal_in_sight is sight]
        if 0 < len(scenes) < len(planned):
            what = f"ATE of {whose}, goal {words}"
            found += rows(what, "m", "lower", lambda e: e.ate_metres, scenes)
    found += rows(f"end distance of {whose}", "m", "lower", lambda e: e.end_metres)
    found += rows(f"end heading error of {whose}", "degrees", "lower", lambda e: e.end_degrees)
    for metres in SUCCESS_METRES:
        what = f"{whose} that end within {metres:g} m"
        found += rows(what, "share", "higher", partial(_reached, metres))
    return found


def _reached(metres: float, error: TrajectoryError) -> float:
    return float(error.end_metres < metres)


def _sample(planned: PlannedScene) -> Sample:
    scene, plans = planned.scene, planned.plans
    ends = {name: plan.views_SHW3[-1] for name, plan in plans.items()}
    panels = (
        Panel("start", scene.context.views[-1]),
        Panel("goal", scene.goal_HW3),
        Panel("imagined end", ends[MODEL]),
        *(Panel(f"imagined end, {name}", ends[name]) for name in BASELINES),
    )
    steps = ", ".join(text.removeprefix(PREFIX) for text in plans[MODEL].actions)
    return Sample(SECTION, (("plan", steps),), panels)
