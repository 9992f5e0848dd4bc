"""Detours: ways that leave a view and come back to it, and what is imagined on return.

A detour turns back on a stretch of a walk and leads over the same poses: it ends exactly where it
began.

Shape suffixes: N detours, S steps of one, H and W height and width of a view in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from chiasm.capabilities import ActionVideos
from chiasm.data.goals import there_and_back
from chiasm.evaluation.pieces import Pieces
from chiasm.worldmodel.rollout import Context


class Imagine(Protocol):
    """What imagines views: :meth:`chiasm.worldmodel.rollout.Rollouts.imagine`, say."""

    def __call__(
        self,
        contexts: Sequence[Context],
        actions: Sequence[Sequence[str]],
        *,
        seed: Sequence[int],
    ) -> list[np.ndarray]:
        """Returns the view after each action, uint8 [S, H, W, 3] of each context."""


@dataclass(frozen=True)
class Detours:
    """N detours of S steps."""

    views: np.ndarray
    """What is seen, uint8 [N, history + S, H, W, 3]: the last view is the one that was left."""
    actions: list[list[str]]
    """Between them."""
    history: int
    """Views up to the one that is left."""

    @classmethod
    def along(cls, pieces: Pieces, source: ActionVideos, history: int, steps: int) -> Detours:
        """Returns the detours that turn back on pieces of walks."""
        start = history - 1
        order = [*range(start), *there_and_back(range(start, start + steps // 2 + 1))]
        frames = [[numbers[place] for place in order] for numbers in pieces.numbers]
        actions = [[source.action(*step) for step in pairwise(own)] for own in frames]
        return cls(pieces.frames[:, order], actions, history)

    def behind(self, others: Sequence[int], shown: int) -> list[Context]:
        """Returns contexts of the first so many views, which begin as those of other detours."""
        begin = self.history
        return [
            Context(
                (*self.views[other, :begin], *self.views[number, begin:shown]),
                (*self.actions[other][: begin - 1], *self.actions[number][begin - 1 : shown - 1]),
            )
            for number, other in enumerate(others)
        ]


@dataclass(frozen=True)
class Returns:
    """Views on return, uint8 [N, H, W, 3] each."""

    own: np.ndarray
    forgotten: np.ndarray
    """From the last view before it and the last action alone."""
    other: np.ndarray | None
    """Behind the beginning of a detour through another place; None: there is none."""
    turned: np.ndarray | None = None
    """Where the way turns back, if it is imagined."""

    @classmethod
    def imagined(
        cls, imagine: Imagine, detours: Detours, others: Sequence[int] | None, seeds: Sequence[int]
    ) -> Returns:
        """Returns what is imagined after the way there and back was imagined."""
        begin, everyone = detours.history, range(len(detours.views))
        scripts = [own[begin - 1 :] for own in detours.actions]
        own = np.stack(imagine(detours.behind(everyone, begin), scripts, seed=seeds))
        other = None
        if others is not None:
            other = np.stack(imagine(detours.behind(others, begin), scripts, seed=seeds))[:, -1]
        forgotten = _from_last(imagine, own[:, -2], scripts, seeds, made=1)
        return cls(own[:, -1], forgotten, other, own[:, own.shape[1] // 2 - 1])

    @classmethod
    def given(
        cls, imagine: Imagine, detours: Detours, others: Sequence[int] | None, seeds: Sequence[int]
    ) -> Returns:
        """Returns what is imagined at the last step after true views up to there."""
        shown, everyone = detours.views.shape[1] - 1, range(len(detours.views))
        last = [own[-1:] for own in detours.actions]

        def end(begins: Sequence[int]) -> np.ndarray:
            return np.concatenate(imagine(detours.behind(begins, shown), last, seed=seeds))

        forgotten = _from_last(imagine, detours.views[:, -2], last, seeds, made=0)
        return cls(end(everyone), forgotten, None if others is None else end(others))


IMAGINED, GIVEN = "", ", true views on the way"
"""Suffixes of rows: the views of a detour are imagined, or given."""
WAYS = {IMAGINED: Returns.imagined, GIVEN: Returns.given}


def _from_last(
    imagine: Imagine,
    last: np.ndarray,
    scripts: Sequence[Sequence[str]],
    seeds: Sequence[int],
    made: int,
) -> np.ndarray:
    """Returns the view after each script's last action and one view alone, of which the model made
    so many: uint8 [N, H, W, 3].
    """
    contexts = [Context((view,), num_imagined=made) for view in last]
    return np.concatenate(imagine(contexts, [own[-1:] for own in scripts], seed=seeds))
