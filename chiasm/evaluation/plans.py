"""Plans to a goal image, the model's and the oracle's, against the true path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.actions import PREFIX
from chiasm.capabilities import ActionVideos, PosedVideos
from chiasm.errors import settings_of
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.measure import NO_POSES, WalkMeasure
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.shared import WalkSettings
from chiasm.intervals import Better
from chiasm.worldmodel.settings import BASELINES, MODEL, ORACLE, PlannerSettings

if TYPE_CHECKING:
    from chiasm.evaluation.planning import PlannedScene
    from chiasm.evaluation.run import Run
    from chiasm.worldmodel.trajectory import TrajectoryError


class PlanSettings(WalkSettings):
    """How many scenes are planned, and how."""

    plans: int = Field(0, ge=0)
    """Held-out scenes that are planned to a goal picture; 0 leaves plans out."""
    planner: PlannerSettings = PlannerSettings()
    """How they are planned."""


class Plans(WalkMeasure[PlanSettings]):
    """Trajectory errors of the model's plans, and scenes to look at."""

    section = "plans"
    settings = PlanSettings
    baselines = (
        "Each scene is a stretch of a held-out walk: the planner sees its first view and a "
        "picture of its goal, and its path is held against the true one, without alignment (ATE: "
        "root mean square distance of the positions; RPE: of the steps). No motion stays; the "
        "straight line goes ahead by the mean length of a training step."
    )
    heading = "What it plans"
    lead = (
        "From the start to the goal picture: the end of the plan as the model imagines it, "
        "and what it imagines at the end of each baseline."
    )

    def check(self, settings: PlanSettings) -> None:
        """Checks that the weights of LPIPS are there, where plans use them."""
        if settings.plans and settings.planner.cost == "lpips":
            from chiasm.worldmodel.lpips import refuse_missing_weights

            with settings_of("evaluation.planner"):
                refuse_missing_weights(settings.planner)

    def applies(self, run: Run[PlanSettings]) -> str:
        """Returns the reason why it cannot be measured; empty where it can, or is switched off."""
        if not run.settings.plans:
            return ""
        return super().applies(run) or ("" if self.sources(run) else NO_POSES)

    def sources(self, run: Run[PlanSettings]) -> Mapping[str, PosedVideos]:
        """Returns the held-out sources whose walks have poses, which a path is held against."""
        return run.material.posed_videos()

    def measure(self, run: Run[PlanSettings]) -> Findings:
        """Returns the findings on each source, where plans are asked for."""
        return super().measure(run) if run.settings.plans else Findings()

    def measure_walks(
        self, run: Run[PlanSettings], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source; ``train`` gives the planner's prior.

        Raises:
            NothingToMeasure: the held-out walks are too short.
            UserError: evo or weights of LPIPS are missing, or the model knows no actions.
        """
        from chiasm.evaluation.planning import plan_scenes

        assert isinstance(train, PosedVideos)
        assert isinstance(held_out, PosedVideos)
        settings = run.settings
        planned = plan_scenes(run, settings.plans, settings.planner, train, held_out)
        samples = [_sample(planned[n]) for n in spread(len(planned), settings.shown)]
        return Findings(plan_rows(planned, settings.seed, of), samples)


@dataclass(frozen=True)
class ErrorMeasure:
    """A scalar of a trajectory error, with its unit and direction."""

    name: str
    unit: str
    better: Better
    value: Callable[[TrajectoryError], float]

    def of(self, whose: str) -> str:
        """Returns the name of a row."""
        return f"{self.name} of {whose}"

    def values(self, planned: Sequence[PlannedScene], planner: str) -> np.ndarray:
        """Returns the value of each scene for one planner: float64 [scenes]."""
        return np.array([self.value(each.errors[planner]) for each in planned], np.float64)


ERRORS = (
    ErrorMeasure("ATE", "m", "lower", lambda error: error.ate_metres),
    ErrorMeasure("RPE", "m", "lower", lambda error: error.rpe_metres),
    ErrorMeasure("end distance", "m", "lower", lambda error: error.end_metres),
    ErrorMeasure("end heading error", "degrees", "lower", lambda error: error.end_degrees),
    ErrorMeasure("end within 0.5 m", "share", "higher", lambda error: error.end_metres < 0.5),
    ErrorMeasure("end within 1 m", "share", "higher", lambda error: error.end_metres < 1.0),
)


def places(planned: Sequence[PlannedScene]) -> np.ndarray:
    """Returns the clusters of standard errors: int64 [scenes]."""
    return np.array([each.scene.place for each in planned], np.int64)


def plan_rows(planned: Sequence[PlannedScene], seed: int, of: str = "") -> list[Row]:
    """Returns every measure of the model's plans and, where it planned, the oracle's, by baseline.

    ATE is also given for goals in sight and out of sight, where the map is known and there are
    both.
    """
    rows = []
    for name in (MODEL, ORACLE):
        if name in planned[0].plans:
            whose = f"{'plans' if name == MODEL else 'plans with the oracle'}{of}"
            rows += _rows(planned, name, whose, seed)
    return rows


def _rows(planned: Sequence[PlannedScene], name: str, whose: str, seed: int) -> list[Row]:
    rows = []
    for measure in ERRORS:
        headline = name == MODEL and measure is ERRORS[0]
        rows += _against(planned, name, measure, measure.of(whose), seed, headline=headline)
    for sight, words in ((True, "in sight"), (False, "out of sight")):
        scenes = [each for each in planned if each.scene.goal_in_sight is sight]
        if 0 < len(scenes) < len(planned):
            what = f"{ERRORS[0].of(whose)}, goal {words}"
            rows += _against(scenes, name, ERRORS[0], what, seed)
    return rows


def _against(
    planned: Sequence[PlannedScene],
    name: str,
    measure: ErrorMeasure,
    what: str,
    seed: int,
    *,
    headline: bool = False,
) -> list[Row]:
    """Returns rows of one measure of one planner beside each baseline."""
    values = {planner: measure.values(planned, planner) for planner in (name, *BASELINES)}
    measured = Measurement(Plans.section, measure.unit, measure.better, seed, places(planned))
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
    return Sample(Plans.section, (("plan", steps),), panels)
