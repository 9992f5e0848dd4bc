"""The view after several actions, imagined in one step by an action that is the sum of them all.

A rollout's errors add up, and its views become contexts that no training document had. A model that
was trained with horizons can be asked for the view so many frames later at once, as in Navigation
World Models (arXiv 2412.03572, time skips); what happens on the way must then not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.actions import Action
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.poses import Pose, compose
from chiasm.worldmodel.rollout import Context, Rollouts, one_each


class DirectViews:
    """Imagines every view from the context alone; has the interface of :class:`Rollouts`.

    Args:
        pretrained: trained with horizons.
        settings: how to draw.

    Raises:
        UserError: the model was trained without actions, or with keys, which cannot be summed.
    """

    def __init__(self, pretrained: Pretrained, settings: SamplingSettings) -> None:
        if pretrained.actions.style == "keys":
            raise UserError(
                "this model was trained with keys, and the sum of several has no key: imagine its "
                "views one after another"
            )
        self._rollouts = Rollouts.of(pretrained, settings)
        self._actions, self._farthest = pretrained.actions, pretrained.walks.horizon_frames[1]

    def imagine(
        self,
        contexts: Sequence[Context],
        actions: Sequence[Sequence[str]],
        *,
        seed: int | Sequence[int] = 0,
    ) -> list[np.ndarray]:
        """Returns the views after each action, as :meth:`Rollouts.imagine` does.

        All views of a rollout are drawn from the same noise.

        Raises:
            UserError: an action names no pose, or they lead farther than training did.
        """
        seeds = one_each(seed, len(contexts))
        sums = [self.sums(own) for own in actions]
        asked = [
            (context, text, own_seed)
            for context, own, own_seed in zip(contexts, sums, seeds, strict=True)
            for text in own
        ]
        views = self._views(asked)
        ends = np.cumsum([len(own) for own in sums])
        return np.split(views, ends[:-1])

    def ends(
        self,
        contexts: Sequence[Context],
        actions: Sequence[Sequence[str]],
        *,
        seed: int | Sequence[int] = 0,
    ) -> np.ndarray:
        """Returns the view after each rollout's last action: uint8 [N, H, W, 3].

        Paths with equal sums are drawn once.

        Raises:
            UserError: as :meth:`imagine`.
        """
        seeds = one_each(seed, len(contexts))
        last = [self.sums(own)[-1] for own in actions]
        return self._views(list(zip(contexts, last, seeds, strict=True)))

    def sums(self, actions: Sequence[str]) -> list[str]:
        """Returns, for each action, the text of the sum of all actions up to it.

        Raises:
            UserError: as :meth:`imagine`.
        """
        start = pose = Pose(0, 0, 0)
        frames, texts = 0, []
        for text in actions:
            action = self._actions.read(text)
            pose, frames = compose(pose, action.step), frames + action.horizon_frames
            texts.append(self._actions.write(Action.between(start, pose, frames)))
        if frames > self._farthest:
            raise UserError(
                f"{len(actions)} actions lead {frames} frames ahead, and this model was trained to "
                f"look {self._farthest} frames ahead at most: give fewer actions, imagine the "
                "views one after another, or train with a wider horizon_frames"
            )
        return texts

    def _views(self, asked: Sequence[tuple[Context, str, int]]) -> np.ndarray:
        """Returns a view per (context, action, seed): uint8 [N, H, W, 3]; equal ones are one."""
        # Arrays cannot be compared cheaply: contexts count as equal if they are one object.
        different = {(id(context), text, seed): context for context, text, seed in asked}
        views = self._rollouts.imagine(
            list(different.values()),
            [[text] for _, text, _ in different],
            seed=[seed for _, _, seed in different],
        )
        number = {key: n for n, key in enumerate(different)}
        return np.stack([views[number[id(c), text, seed]][0] for c, text, seed in asked])
