"""Plans without search: the model reads the step between two views, and the path is the most usual
one that leads there.

Inverse dynamics: from a start and a goal the model writes the action between them, as its training
documents of task ``inverse_dynamics`` end. One answer of some twenty tokens stands for a search
that imagines hundreds of views.
"""

from __future__ import annotations

import numpy as np

from chiasm.actions import PREFIX, Action, ActionFormat
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.worldmodel.cost import Cost
from chiasm.worldmodel.planner import Plan, WorldModel, fitted_to_views, follow
from chiasm.worldmodel.proposals import Proposal
from chiasm.worldmodel.rollout import Context

MOST_TOKENS = 48
"""Longer texts are no actions."""
ANSWER = SamplingSettings(temperature=0.0, max_items=0, max_tokens=MOST_TOKENS, guidance=1.0)


class InverseDynamicsPlanner:
    """Writes the action from the last view to the goal, then walks there as training walks do.

    Args:
        pretrained: trained on documents of inverse dynamics.
        proposal: prior of the paths.
        actions: format of the steps.

    Raises:
        UserError: the model was trained without such documents.
    """

    def __init__(self, pretrained: Pretrained, proposal: Proposal, actions: ActionFormat) -> None:
        if not pretrained.walks.inverse:
            raise UserError(
                "needs a model that was trained to write the action between two views",
                setting="method",
                value="inverse_dynamics",
                remedy='train with a source of task = "inverse_dynamics", or plan by '
                '"cross_entropy"',
            )
        self._sampler = Sampler(pretrained)
        self._proposal, self._actions = proposal, actions

    def plan(
        self,
        world_model: WorldModel,
        context: Context,
        goal_HW3: np.ndarray,
        cost: Cost,
        seed: int = 0,
    ) -> Plan:
        """Returns a plan as :meth:`~.planner.Planner.plan`; where no action was written, one that
        stays.
        """
        goal_HW3 = fitted_to_views(goal_HW3, context)
        path = self._proposal.leading_to(self.step(context, goal_HW3))
        actions = tuple(self._actions.write(step) for step in self._proposal.actions(path))
        return follow(world_model, context, actions, goal_HW3, cost, seed)

    def step(self, context: Context, goal_HW3: np.ndarray) -> np.ndarray:
        """Returns the relative pose from the last view to the goal: [3], metres and degrees."""
        views = (context.views[-1], goal_HW3)
        shown = tuple(Image(view, target=False) for view in views)
        [spans] = self._sampler.generate([Request((*shown, Text(PREFIX.strip())))], ANSWER)
        try:
            action = self._actions.read(PREFIX + Document(tuple(spans)).text.strip())
        except UserError:
            action = Action(0, 0, 0)
        return np.array(action.step)
