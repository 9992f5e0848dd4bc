from dataclasses import replace

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.errors import UserError
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material
from chiasm.evaluation.planning import plan_scenes
from chiasm.evaluation.plans import Plans, plan_rows
from chiasm.evaluation.run import Run
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.request import SamplingSettings
from chiasm.inference.walks import WalkDocuments
from chiasm.poses import compose
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.settings import BASELINES, MODEL, ORACLE, PlannerSettings

pytest.importorskip("evo", reason="evo is not installed: pip install 'chiasm[world]'")

ACTIONS = ActionFormat()
SMALL = PlannerSettings(samples=6, elites=2, iterations=1, solver_steps=1, steps=2)


@pytest.fixture(scope="module")
def world_model(pretrained):
    return replace(pretrained, walks=WalkDocuments(views=2))


@pytest.fixture(scope="module")
def only_walks(material):
    """The evaluation's other sections have nothing to do."""
    name = "action_video"
    return Material({name: material.train[name]}, {name: material.held_out[name]})


def planned_by(model, material, plans: int, planner: PlannerSettings = SMALL, **more):
    settings = EvaluationSettings(history_frames=1)
    sides = material.train["action_video"], material.held_out["action_video"]
    return plan_scenes(Run(model, material, settings), plans, planner, *sides, **more)


@pytest.mark.slow
def test_with_the_oracle_plans_end_at_their_goals_and_baselines_do_not(world_model, material):
    thorough = SMALL.model_copy(update={"samples": 120, "elites": 12, "iterations": 3})
    planned = planned_by(world_model, material, 6, thorough, world_models=[ORACLE])
    assert [set(each.plans) for each in planned] == [{ORACLE, *BASELINES}] * 6
    ends = {name: [each.errors[name].end_metres for each in planned] for name in planned[0].plans}
    assert np.median(ends[ORACLE]) < 0.05
    for each in planned:
        pose = each.scene.start
        for text, reached in zip(
            each.plans[ORACLE].actions, each.trajectories[ORACLE], strict=True
        ):
            pose = compose(pose, ACTIONS.read(text).step)
            assert pose == reached
    rows = {(row.name, row.baseline_name): row for row in plan_rows(planned, 0)}
    for baseline in BASELINES:
        row = rows["ATE of plans with the oracle", baseline]
        assert row.value == pytest.approx(
            np.mean([each.errors[ORACLE].ate_metres for each in planned])
        )
        assert row.value < row.baseline
        assert row.num_clusters == len({each.scene.place for each in planned})
        near = rows["end within 0.5 m of plans with the oracle", baseline]
        assert near.value == pytest.approx(np.mean(np.array(ends[ORACLE]) < 0.5))


@pytest.mark.slow
def test_an_evaluation_measures_plans_where_it_is_asked_to(world_model, only_walks, settings):
    assert not settings.plans
    asked = settings.model_copy(
        update={
            **{"plans": 3, "planner": SMALL, "history_frames": 1, "shown": 2, "next_views": 2},
            **{"text_documents": 2, "ngram_documents": 2, "flow_documents": 2, "steps": 1},
        }
    )
    found = evaluate(world_model, only_walks, asked)
    rows = [row for row in found.rows if row.section == "plans"]
    assert {row.baseline_name for row in rows} == set(BASELINES)
    assert {row.num_items for row in rows if row.name == "ATE of plans"} == {3}
    assert [row.baseline_name for row in rows if row.headline] == list(BASELINES)
    samples = [sample for sample in found.samples if sample.section == "plans"]
    assert [panel.label for panel in samples[0].panels][:3] == ["start", "goal", "imagined end"]
    sides = only_walks.train["action_video"], only_walks.held_out["action_video"]
    run = Run(world_model, only_walks, asked)
    assert Plans().measure_walks(run, *sides).rows == rows


def test_plans_may_look_ahead_in_one_step(pretrained, material):
    direct = SMALL.model_copy(update={"prediction": "direct"})
    model = replace(pretrained, walks=WalkDocuments(views=2, horizon_frames=(1, 2)))
    [planned] = planned_by(model, material, 1, direct)
    own = planned.plans[MODEL]
    sampling = SamplingSettings(steps=1, guidance=1)
    [views] = DirectViews(model, sampling).imagine([planned.scene.context], [own.actions])
    np.testing.assert_array_equal(own.views_SHW3, views)
    with pytest.raises(UserError, match=r"2 actions lead 2 frames ahead, .* 1 frames ahead"):
        planned_by(replace(model, walks=WalkDocuments(views=2)), material, 1, direct)


def test_a_model_without_actions_and_walks_that_are_too_short(world_model, material):
    with pytest.raises(UserError, match="trained without actions"):
        planned_by(replace(world_model, walks=WalkDocuments(views=0)), material, 2)
    long = SMALL.model_copy(update={"steps": 12})
    with pytest.raises(UserError, match=r"planner\.steps = 12 need walks of 13 frames"):
        planned_by(world_model, material, 2, long, world_models=[MODEL])
