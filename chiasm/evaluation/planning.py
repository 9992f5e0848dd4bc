"""Plans of scenes to their goal images: by a model, by the oracle, and by baselines.

Every planner gets the same scenes. Trajectories move by what the plan's actions say, from the true
start; they are not stopped by walls, as in the protocol that ATE and RPE come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.capabilities import PosedVideos, Rendered
from chiasm.documents import Image
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.run import Run
from chiasm.evaluation.scenes import Scene, pick_scenes
from chiasm.evaluation.shared import WalkSettings
from chiasm.poses import Pose, compose
from chiasm.worldmodel.cost import Cost, FeatureCost
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.inverse import InverseDynamicsPlanner
from chiasm.worldmodel.lpips import Lpips
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.planner import (
    Plan,
    Planner,
    WorldModel,
    build_baselines,
    build_planner,
    build_prior,
)
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.settings import MODEL, ORACLE, PlannerSettings
from chiasm.worldmodel.trajectory import TrajectoryError, refuse_missing_evo, trajectory_error


@dataclass(frozen=True, eq=False)
class PlannedScene:
    """One scene with every planner's plan, by the planner's name."""

    scene: Scene
    plans: dict[str, Plan]
    trajectories: dict[str, tuple[Pose, ...]]
    """Poses after each step."""
    errors: dict[str, TrajectoryError]


@settings_of("evaluation.planner")
def plan_scenes(
    run: Run[WalkSettings],
    count: int,
    planner_settings: PlannerSettings,
    train: PosedVideos,
    source: PosedVideos,
    *,
    world_models: Sequence[str] = (MODEL,),
) -> list[PlannedScene]:
    """Returns every scene planned with each of ``world_models`` (model, oracle) and by baselines.

    The first of them imagines the views of the baselines.

    Args:
        run: has the sampling settings and the callback for progress.
        count: most scenes.
        planner_settings: of all planners.
        train: source that the planner's prior is fitted to.
        source: held-out walks.
        world_models: of ``model`` and ``oracle``.

    Raises:
        NothingToMeasure: the held-out walks are too short.
        UserError: evo or weights of LPIPS are missing, the model knows no actions, or an oracle of
            recorded walks is asked for.
    """
    refuse_missing_evo()
    oracle = rendered(source) if ORACLE in world_models else None
    if oracle is not None and planner_settings.method == "inverse_dynamics":
        why = "is no search, and the engine writes no actions"
        raise planner_settings.error("method", why, "leave --oracle out, or search")
    actions, seed = run.pretrained.actions, run.settings.seed
    cost = _cost(run, planner_settings)
    scenes = pick_scenes(run, source, count, planner_settings.steps)
    once = planner_settings.model_copy(update={"repeats": 1})  # the oracle has no noise to average
    contenders: dict[str, tuple[Planner, WorldModel]] = {}
    done = []
    with ExitStack() as running:
        for name in world_models:
            if oracle is not None and name == ORACLE:
                engine = running.enter_context(_oracle(oracle, run))
                contenders[ORACLE] = build_planner(once, train, actions), engine
            else:
                own = _model_planner(run, planner_settings, train)
                contenders[MODEL] = own, _world_model(run, planner_settings)
        # Baselines do not look at views: imagining them once, by the first model, is enough.
        _, first = contenders[world_models[0]]
        for name, baseline in build_baselines(planner_settings, train, actions).items():
            contenders[name] = baseline, first
        for number, scene in enumerate(scenes):
            run.on_stage("planning", number, len(scenes))
            done.append(_planned(scene, contenders, actions, cost, seed + number))
    run.on_stage("planning", len(scenes), len(scenes))
    return done


@settings_of("evaluation.planner")
def plan_between(
    run: Run[WalkSettings],
    planner_settings: PlannerSettings,
    train: PosedVideos,
    start_HW3: np.ndarray,
    goal_HW3: np.ndarray,
) -> Plan:
    """Returns the model's plan from one image to another, both uint8, resized to the model's size.

    Raises:
        UserError: weights of LPIPS are missing, or the model knows no actions.
    """
    world_model, cost = _world_model(run, planner_settings), _cost(run, planner_settings)
    planner = _model_planner(run, planner_settings, train)
    context = Context((run.fitted(Image(start_HW3, target=False)),))
    return planner.plan(world_model, context, goal_HW3, cost, run.settings.seed)


def _model_planner(
    run: Run[WalkSettings], settings: PlannerSettings, train: PosedVideos
) -> Planner:
    actions = run.pretrained.actions
    if settings.method == "inverse_dynamics":
        return InverseDynamicsPlanner(
            run.pretrained, build_prior(settings, train, actions), actions
        )
    return build_planner(settings, train, actions)


def _world_model(run: Run[WalkSettings], settings: PlannerSettings) -> WorldModel:
    sampling = run.settings.imagining.model_copy(update={"steps": settings.solver_steps})
    if settings.prediction == "direct":
        return DirectViews(run.pretrained, sampling)
    return Rollouts.of(run.pretrained, sampling)


def rendered(source: PosedVideos) -> Rendered:
    """Returns the source, if an engine can render what its actions lead to.

    Raises:
        UserError: it has none.
    """
    if isinstance(source, Rendered):
        return source
    raise UserError(
        f"source {source.name!r} has no oracle: no engine can show what an action leads to there. "
        f"Leave --oracle out, or plan on a source that has one, as those of "
        f"stream.sources.NAME.kind = 'world' with task = 'action_video'"
    )


def _oracle(source: Rendered, run: Run[WalkSettings]) -> Oracle:
    return Oracle(source.camera(), run.pretrained.actions, run.image_shape, stops_at_walls=False)


def _cost(run: Run[WalkSettings], settings: PlannerSettings) -> Cost:
    if settings.cost == "features":
        return FeatureCost(run.pretrained)
    assert settings.lpips_weights is not None  # the settings refuse it
    return Lpips(settings.lpips_weights.expanduser(), run.pretrained.device)


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
