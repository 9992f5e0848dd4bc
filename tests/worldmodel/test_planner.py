"""Planners in a world whose views are simple: flat pictures that show where one stands."""

from collections.abc import Sequence

import numpy as np
import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.inference.request import SamplingSettings
from chiasm.poses import Pose, compose
from chiasm.worldmodel.planner import FixedPlanner, SamplingPlanner, follow
from chiasm.worldmodel.proposals import StepPaths, StraightPaths
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.settings import PRESETS, PlannerSettings

FORMAT = ActionFormat()
KINDS = np.array([[1, 0, 0], [0, 0, 90], [0, 0, -90], [-1, 0, 0.0]])
SHARE = np.array([0.4, 0.3, 0.2, 0.1])


class Plain:
    """x and y are the red and green of a view, 20 steps of grey each metre; noise is the blue."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, ...]]] = []
        self.seeds: list[int] = []

    def imagine(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> list[np.ndarray]:
        self.asked.append([tuple(own) for own in actions])
        self.seeds.append(seed)
        return [np.stack([shown(pose, seed) for pose in moved(own)]) for own in actions]

    def ends(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> np.ndarray:
        return np.stack([views[-1] for views in self.imagine(contexts, actions, seed=seed)])


def moved(actions: Sequence[str]) -> list[Pose]:
    poses = [Pose(0, 0, 0)]
    for text in actions:
        poses.append(compose(poses[-1], FORMAT.read(text).step))
    return poses[1:]


def shown(pose: Pose, seed: int = 0) -> np.ndarray:
    place = (128 + 20 * pose.x_metres, 128 + 20 * pose.y_metres, seed % 64)
    return np.broadcast_to(np.clip(np.round(place), 0, 255).astype(np.uint8), (8, 8, 3)).copy()


def colour_cost(pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
    return abs(pictures_NHW3.astype(float) - goal_HW3.astype(float))[..., :2].mean((1, 2, 3))


START = Context((shown(Pose(0, 0, 0)),))
GOAL = shown(Pose(2, 1, 0))  # ahead twice, a turn, ahead once


def steps_planner(**settings: object) -> SamplingPlanner:
    chosen = PlannerSettings.model_validate({"steps": 4, "samples": 60, "iterations": 4} | settings)
    return SamplingPlanner(StepPaths(KINDS, np.tile(SHARE, (4, 1))), chosen, FORMAT)


@pytest.mark.parametrize("method", ["cross_entropy", "mppi", "random_shooting"])
def test_every_method_reaches_the_goal_and_repeats_itself(method: str):
    planner = steps_planner(method=method)
    plan = planner.plan(Plain(), START, GOAL, colour_cost, seed=3)
    end = moved(plan.actions)[-1]
    assert (end.x_metres, end.y_metres) == pytest.approx((2, 1))
    assert plan.cost == 0
    assert len(plan.best_costs) == 4
    assert np.array_equal(plan.views_SHW3[-1][..., :2], GOAL[..., :2])
    assert planner.plan(Plain(), START, GOAL, colour_cost, seed=3).actions == plan.actions


def test_of_paths_that_end_alike_the_most_usual_is_taken():
    """To the left: many paths do it, and the goal does not say which."""
    plan = steps_planner(samples=4000, iterations=1).plan(
        Plain(), START, shown(Pose(0, 1, 0)), colour_cost
    )
    kinds = {
        FORMAT.write(Action(*kind.tolist())): share
        for kind, share in zip(KINDS, SHARE, strict=True)
    }
    # A left turn (0.3), ahead (0.4), and two more steps that change nothing: the most probable pair
    # is two further left turns.
    assert np.prod([kinds[text] for text in plan.actions]) == pytest.approx(0.3 * 0.4 * 0.3 * 0.3)


def test_the_published_protocol_is_the_mean_of_the_five_nearest():
    settings = PlannerSettings.model_validate(PRESETS["navigation-world-models"])
    prior = StraightPaths(np.array([0.2, 0, 0]), np.array([0.1, 0.1, 18]), settings.steps)
    world = Plain()
    goal = shown(Pose(2.4, 0.8, 0))
    plan = SamplingPlanner(prior, settings, FORMAT).plan(world, START, goal, colour_cost, seed=1)
    paths = np.random.default_rng([1, 5]).normal(prior.mean_3, prior.deviation_3, (120, 3))
    ends = [moved([FORMAT.write(action) for action in prior.actions(path)])[-1] for path in paths]
    costs = colour_cost(np.stack([shown(end) for end in ends]), goal)
    elites = paths[np.argsort(costs, kind="stable")[:5]]
    expected = tuple(FORMAT.write(action) for action in prior.actions(elites.mean(0)))
    assert plan.actions == expected
    assert len(world.seeds) == 4  # three repeats, and the plan itself
    assert len(set(world.seeds)) == 4
    assert {len(asked) for asked in world.asked[:3]} == {120}


def test_costs_are_averaged_over_repeats():
    def unlucky(pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        blue = pictures_NHW3[:, 0, 0, 2].astype(float)
        return colour_cost(pictures_NHW3, goal_HW3) + blue

    one, three = (
        steps_planner(repeats=repeats, iterations=1).plan(Plain(), START, GOAL, unlucky, seed=0)
        for repeats in (1, 3)
    )
    noise = np.random.default_rng([0, 5])
    StepPaths(KINDS, np.tile(SHARE, (4, 1))).draw(60, noise)
    seeds = noise.integers(2**31, size=3)
    assert one.best_costs[0] == pytest.approx(seeds[0] % 64)
    assert three.best_costs[0] == pytest.approx((seeds % 64).mean())


def test_paths_that_read_alike_are_imagined_once():
    world = Plain()
    steps_planner(samples=500, iterations=1).plan(world, START, GOAL, colour_cost)
    assert len(world.asked[0]) == len(set(world.asked[0])) < 4**4


def test_a_goal_of_another_size_is_fitted():
    large = np.repeat(np.repeat(GOAL, 3, axis=0), 4, axis=1)
    plan = steps_planner().plan(Plain(), START, large, colour_cost, seed=3)
    assert plan.cost == 0


def test_a_baseline_goes_its_way_whatever_the_goal():
    plan = FixedPlanner(Action(0.5, 0, 0), 3, FORMAT).plan(Plain(), START, GOAL, colour_cost)
    assert plan.actions == ("action: dx=+0.50 dy=+0.00 dyaw=+0",) * 3
    assert plan.cost == pytest.approx(colour_cost(shown(Pose(1.5, 0, 0))[None], GOAL)[0])


def test_with_a_trained_models_rollouts_the_plan_is_what_they_show(sampler):
    rollouts = Rollouts(sampler, SamplingSettings(steps=2, guidance=1.0))
    planner = SamplingPlanner(
        StepPaths(KINDS, np.tile(SHARE, (2, 1))),
        PlannerSettings(steps=2, samples=6, elites=2, iterations=2),
        FORMAT,
    )
    plan = planner.plan(rollouts, START, GOAL, colour_cost, seed=2)
    again = follow(rollouts, START, plan.actions, GOAL, colour_cost, seed=2)
    assert np.array_equal(plan.views_SHW3, again.views_SHW3)
    assert plan.cost == again.cost


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 4, "elites": 5}, "elites = 5 are more than samples = 4"),
        ({"method": "random_shooting", "result": "centre"}, 'set result = "best"'),
        ({"cost": "lpips"}, "needs lpips_weights"),
    ],
)
def test_settings_that_contradict(settings, message):
    with pytest.raises(ValueError, match=message):
        PlannerSettings.model_validate(settings)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings(name):
    assert PlannerSettings.model_validate(PRESETS[name]).samples >= 64
