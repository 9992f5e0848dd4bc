"""Planning to a goal image: imagine many paths, keep those whose last view is nearest to it.

Three methods share one loop. In each iteration N paths are drawn from a proposal, imagined in one
batch, and scored by how far their last view is from the goal; then

- the cross-entropy method refits the proposal to the K best (the elites), all alike;
- MPPI refits it to all, weighted by exp(-cost / λ), with λ in standard deviations of the costs;
- random shooting does not refit.

The plan is the refitted proposal's centre, or the best path drawn. The first is what Navigation
World Models does (arXiv 2412.03572); its published code turns the last yaw by π twice, which is not
copied here, and gives later steps in the frame of the start, where here they follow the heading, as
actions in training do.

Shape suffixes: N paths, S steps, H and W height and width of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chiasm.actions import Action, ActionFormat
from chiasm.capabilities import PosedVideos
from chiasm.documents import Image
from chiasm.inference.pictures import fitted
from chiasm.rgb import ImageShape
from chiasm.worldmodel.cost import Cost
from chiasm.worldmodel.proposals import (
    Proposal,
    horizon_of,
    mean_stride,
    motions,
    step_prior,
    straight_prior,
)
from chiasm.worldmodel.rollout import Context
from chiasm.worldmodel.settings import PlannerSettings

INERTIA = 0.5
"""Share of the proposal that a refit keeps, so that the next draws are not too narrow."""
TIE = 0.25
"""Standard deviations (of the first iteration's costs) within which a cost is as good as the least:
several paths lead to one pose, and imagining them has noise."""


class WorldModel(Protocol):
    """Predicts the views that actions lead to: a trained model's rollouts, or the oracle."""

    def imagine(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> list[np.ndarray]:
        """Returns the view after each action of each rollout: uint8 [S, H, W, 3]."""

    def ends(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> np.ndarray:
        """Returns the view after each rollout's last action: uint8 [N, H, W, 3]."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The actions that a planner proposes, and what it expects of them."""

    actions: tuple[str, ...]
    views_SHW3: np.ndarray
    """Views that the world model imagines along the plan, uint8."""
    cost: float
    """Cost of the last of these views."""
    best_costs: tuple[float, ...] = ()
    """Lowest cost of each iteration."""


class Planner(Protocol):
    """Finds actions whose last view is like the goal."""

    def plan(
        self,
        world_model: WorldModel,
        context: Context,
        goal_HW3: np.ndarray,
        cost: Cost,
        seed: int = 0,
    ) -> Plan:
        """Returns a plan from ``context`` to a view like ``goal_HW3``, uint8, resized to the views.

        Raises:
            UserError: the goal is no image, or the world model refuses.
        """


class SamplingPlanner:
    """The cross-entropy method, MPPI or random shooting, chosen by the settings.

    Args:
        proposal: the distribution of the first iteration.
        settings: method and sizes.
        actions: format of the steps; a plan moves by what is written, rounding included.
    """

    def __init__(
        self, proposal: Proposal, settings: PlannerSettings, actions: ActionFormat
    ) -> None:
        self._proposal, self._settings, self._actions = proposal, settings, actions

    def plan(
        self,
        world_model: WorldModel,
        context: Context,
        goal_HW3: np.ndarray,
        cost: Cost,
        seed: int = 0,
    ) -> Plan:
        """Returns a plan as :meth:`Planner.plan`; all draws and all noise follow from ``seed``."""
        settings, proposal = self._settings, self._proposal
        goal_HW3 = fitted_to_views(goal_HW3, context)
        rng = np.random.default_rng([seed, 5])
        inertia = INERTIA if settings.iterations > 1 else 0.0  # after a single fit nothing is drawn
        drawn, costs = [], []
        for _ in range(settings.iterations):
            paths = proposal.draw(settings.samples, rng)
            texts = [self._write(proposal.actions(path)) for path in paths]
            cost_N = self._costs(world_model, context, texts, goal_HW3, cost, rng)
            drawn.append(paths)
            costs.append(cost_N)
            if settings.method != "random_shooting":
                proposal = proposal.refit(paths, self._weights(cost_N), inertia)
        path = proposal.centre() if settings.result == "centre" else self._best(drawn, costs)
        actions = self._write(proposal.actions(path))
        plan = follow(world_model, context, actions, goal_HW3, cost, seed)
        least = tuple(float(cost_N.min()) for cost_N in costs)
        return Plan(plan.actions, plan.views_SHW3, plan.cost, least)

    def _costs(
        self,
        world_model: WorldModel,
        context: Context,
        texts: Sequence[tuple[str, ...]],
        goal_HW3: np.ndarray,
        cost: Cost,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Returns the cost of each path [N], averaged over repeats; equal texts are drawn once."""
        different = list(dict.fromkeys(texts))
        costs = []
        for noise in rng.integers(2**31, size=self._settings.repeats).tolist():
            ends = world_model.ends([context] * len(different), different, seed=noise)
            costs.append(cost(ends, goal_HW3))
        of_text = dict(zip(different, np.mean(costs, 0).tolist(), strict=True))
        return np.array([of_text[text] for text in texts])

    def _best(self, drawn: Sequence[np.ndarray], costs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns, of the paths that end about as near as the best, the most probable a priori.

        Several paths lead to one pose, and a goal image does not determine the way.
        """
        paths, cost_N = np.concatenate(drawn), np.concatenate(costs)
        near_N = cost_N <= cost_N.min() + TIE * costs[0].std()
        best: np.ndarray = paths[near_N][self._proposal.log_density(paths[near_N]).argmax()]
        return best

    def _weights(self, cost_N: np.ndarray) -> np.ndarray:
        # Weights are relative to the best path's, so that the exponential cannot underflow for all
        # paths; equal costs (deviation 0) leave the scale at 1.
        if self._settings.method == "mppi":
            scale = self._settings.temperature * float(cost_N.std()) or 1.0
            weight_N: np.ndarray = np.exp(-(cost_N - cost_N.min()) / scale)
            return weight_N
        elite_N = np.zeros(len(cost_N))
        elite_N[np.argsort(cost_N, kind="stable")[: self._settings.elites]] = 1.0
        return elite_N

    def _write(self, actions: Sequence[Action]) -> tuple[str, ...]:
        return tuple(self._actions.write(action) for action in actions)


class FixedPlanner:
    """A baseline: the same steps whatever the goal."""

    def __init__(self, action: Action, num_steps: int, actions: ActionFormat) -> None:
        self._actions = (actions.write(action),) * num_steps

    def plan(
        self,
        world_model: WorldModel,
        context: Context,
        goal_HW3: np.ndarray,
        cost: Cost,
        seed: int = 0,
    ) -> Plan:
        """Returns the fixed steps as a plan; see :meth:`Planner.plan`."""
        goal_HW3 = fitted_to_views(goal_HW3, context)
        return follow(world_model, context, self._actions, goal_HW3, cost, seed)


def follow(
    world_model: WorldModel,
    context: Context,
    actions: tuple[str, ...],
    goal_HW3: np.ndarray,
    cost: Cost,
    seed: int = 0,
) -> Plan:
    """Returns given actions as a plan, with the views and cost that the world model predicts."""
    [views_SHW3] = world_model.imagine([context], [actions], seed=seed)
    return Plan(actions, views_SHW3, float(cost(views_SHW3[-1:], goal_HW3)[0]))


def build_planner(
    settings: PlannerSettings, train: PosedVideos, actions: ActionFormat
) -> SamplingPlanner:
    """Returns the planner of these settings; its prior is fitted to training walks.

    Raises:
        UserError: the training walks are shorter than a straight path.
    """
    return SamplingPlanner(build_prior(settings, train, actions), settings, actions)


def build_prior(settings: PlannerSettings, train: PosedVideos, actions: ActionFormat) -> Proposal:
    """Returns the distribution of paths in training walks.

    Raises:
        UserError: the training walks are shorter than a straight path.
    """
    horizon = horizon_of(train, actions)
    if settings.paths == "steps":
        return step_prior(motions(train), settings.steps, horizon)
    return straight_prior(motions(train, settings.steps), settings.steps, horizon)


def build_baselines(
    settings: PlannerSettings, train: PosedVideos, actions: ActionFormat
) -> dict[str, FixedPlanner]:
    """Returns planners without a goal: no motion, and straight ahead by the mean training step."""
    horizon = horizon_of(train, actions)
    stride = mean_stride(motions(train))
    return {
        "no motion": FixedPlanner(Action(0, 0, 0, horizon), settings.steps, actions),
        "straight line": FixedPlanner(Action(stride, 0, 0, horizon), settings.steps, actions),
    }


def fitted_to_views(goal_HW3: np.ndarray, context: Context) -> np.ndarray:
    """Returns the goal cropped and resized to the size of the context's views."""
    height, width = context.views[-1].shape[:2]
    return fitted(Image(goal_HW3, target=False), ImageShape(height, width, 1, 1))
