"""Plans to a goal picture, against the path truly taken: the model's, the oracle's, and baselines.

Every planner is given the same scenes. Trajectories move by what the plan's actions say, from the
true start; they are not stopped by walls, as in the protocol that ATE and RPE come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from chiasm.actions import PREFIX, ActionFormat
from chiasm.capabilities import ActionVideos, Rendered
from chiasm.data.reading import ReadingLog
from chiasm.documents import Image
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.scenes import Scene, pick_scenes
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import fitted
from chiasm.inference.pretrained import Pretrained
from chiasm.intervals import Better
from chiasm.poses import Pose, compose
from chiasm.worldmodel.cost import Cost, FeatureCost
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.lpips import Lpips
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.planner import (
    Plan,
    Planner,
    WorldModel,
    build_baselines,
    build_planner,
)
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.settings import PlannerSettings
from chiasm.worldmodel.trajectory import TrajectoryError, refuse_missing_evo, trajectory_error

SECTION = "plans"
MODEL, ORACLE = "model", "oracle"
BASELINES = ("no motion", "straight line")

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


@dataclass(frozen=True)
class Measure:
    """What is read off a trajectory error."""

    name: str
    unit: str
    better: Better
    value: Callable[[TrajectoryError], float]

    def of(self, whose: str) -> str:
        """A row's name."""
        return f"{self.name} of {whose}"

    def values(self, planned: Sequence[PlannedScene], planner: str) -> np.ndarray:
        """Of each scene: float64 [scenes]."""
        return np.array([self.value(each.errors[planner]) for each in planned], np.float64)


MEASURES = (
    Measure("ATE", "m", "lower", lambda error: error.ate_metres),
    Measure("RPE", "m", "lower", lambda error: error.rpe_metres),
    Measure("end distance", "m", "lower", lambda error: error.end_metres),
    Measure("end heading error", "degrees", "lower", lambda error: error.end_degrees),
    Measure("end within 0.5 m", "share", "higher", lambda error: error.end_metres < 0.5),
    Measure("end within 1 m", "share", "higher", lambda error: error.end_metres < 1.0),
)


def places(planned: Sequence[PlannedScene]) -> np.ndarray:
    """The clusters of standard errors: int64 [scenes]."""
    return np.array([each.scene.place for each in planned], np.int64)


def measure_plans(
    pretrained: Pretrained,
    train: ActionVideos,
    source: ActionVideos,
    settings: EvaluationSettings,
    of: str = "",
    log: ReadingLog | None = None,
) -> Findings:
    """Rows on the model's plans, and scenes to look at.

    ``train`` gives the planner's prior; ``of`` follows the rows' names, where several sources are
    measured; ``log`` counts what is passed over.

    Raises:
        NothingToMeasure: the held-out walks are too short.
        UserError: evo or weights of LPIPS are missing, or the model knows no actions.
    """
    planned = plan_scenes(pretrained, train, source, settings, log=log)
    shown = spread(len(planned), settings.shown)
    return Findings(plan_rows(planned, settings.seed, of), [_sample(planned[n]) for n in shown])


@settings_of("evaluation.planner")
def plan_scenes(
    pretrained: Pretrained,
    train: ActionVideos,
    source: ActionVideos,
    settings: EvaluationSettings,
    *,
    world_models: Sequence[str] = (MODEL,),
    progress: Progress | None = None,
    log: ReadingLog | None = None,
) -> list[PlannedScene]:
    """Every scene planned with each of ``world_models`` (model, oracle), and by the baselines.

    The first of them imagines what the baselines lead to.

    Raises:
        NothingToMeasure, UserError: as :func:`measure_plans`, or an oracle of recorded walks.
    """
    refuse_missing_evo()
    oracle = rendered(source) if ORACLE in world_models else None
    planner_settings, actions = settings.planner, pretrained.actions
    cost = _cost(pretrained, planner_settings)
    shape = pretrained.vision_tokenizer.image_shape
    count, history = settings.plans, settings.history_frames
    scenes = pick_scenes(source, count, history, planner_settings.steps, shape, log)
    once = planner_settings.model_copy(update={"repeats": 1})  # the oracle has no luck to average
    contenders: dict[str, tuple[Planner, WorldModel]] = {}
    done = []
    with ExitStack() as running:
        for name in world_models:
            if oracle is not None and name == ORACLE:
                engine = running.enter_context(_oracle(oracle, pretrained))
                contenders[ORACLE] = build_planner(once, train, actions), engine
            else:
                own = build_planner(planner_settings, train, actions)
                contenders[MODEL] = own, _world_model(pretrained, settings)
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


@settings_of("evaluation.planner")
def plan_between(
    pretrained: Pretrained,
    train: ActionVideos,
    start_HW3: np.ndarray,
    goal_HW3: np.ndarray,
    settings: EvaluationSettings,
) -> Plan:
    """The model's plan from one picture to another, both uint8 and fitted to the model's size.

    Raises:
        UserError: weights of LPIPS are missing, or the model knows no actions.
    """
    world_model = _world_model(pretrained, settings)
    shape, cost = pretrained.vision_tokenizer.image_shape, _cost(pretrained, settings.planner)
    planner = build_planner(settings.planner, train, pretrained.actions)
    context = Context((fitted(Image(start_HW3, target=False), shape),))
    return planner.plan(world_model, context, goal_HW3, cost, settings.seed)


def _world_model(pretrained: Pretrained, settings: EvaluationSettings) -> WorldModel:
    sampling = settings.imagining.model_copy(update={"steps": settings.planner.solver_steps})
    if settings.planner.prediction == "direct":
        return DirectViews(pretrained, sampling)
    return Rollouts.of(pretrained, sampling)


def rendered(source: ActionVideos) -> Rendered:
    """Returns the source where an engine can show what its actions lead to.

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


def _oracle(source: Rendered, pretrained: Pretrained) -> Oracle:
    shape, actions = pretrained.vision_tokenizer.image_shape, pretrained.actions
    return Oracle(source.camera(), actions, shape, stops_at_walls=False)


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
    rows = []
    for measure in MEASURES:
        headline = name == MODEL and measure is MEASURES[0]
        rows += _against(planned, name, measure, measure.of(whose), seed, headline=headline)
    for sight, words in ((True, "in sight"), (False, "out of sight")):
        scenes = [each for each in planned if each.scene.goal_in_sight is sight]
        if 0 < len(scenes) < len(planned):
            what = f"{MEASURES[0].of(whose)}, goal {words}"
            rows += _against(scenes, name, MEASURES[0], what, seed)
    return rows


def _against(
    planned: Sequence[PlannedScene],
    name: str,
    measure: Measure,
    what: str,
    seed: int,
    *,
    headline: bool = False,
) -> list[Row]:
    """One measure of one planner beside each baseline."""
    values = {planner: measure.values(planned, planner) for planner in (name, *BASELINES)}
    measured = Measurement(SECTION, measure.unit, measure.better, seed, places(planned))
    return [
        measured.row(what, values[name], values[baseline], baseline, headline=headline)
        for baseline in BASELINES
    ]


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
