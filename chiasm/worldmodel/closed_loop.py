"""A closed loop: the model imagines a step, the engine takes it, and the model sees where it is.

Imagined views are never the context of later ones: the true view takes their place at every step,
so that errors of imagination do not add up, and a wrong step can be made good by a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.poses import Pose
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.tracker import Tracker


@dataclass(frozen=True, eq=False)
class Walked:
    """A walk of S steps through a place."""

    poses: list[Pose]
    """1 + S, the start first."""
    imagined: np.ndarray
    """uint8 [S, H, W, 3]: the views that the steps were read from."""
    seen: np.ndarray
    """uint8 [S, H, W, 3]: the true views behind the steps."""


class ClosedLoop:
    """Walks through places by what a model imagines.

    Args:
        rollouts: imagine one view behind true ones.
        tracker: tells which step an imagined view shows, and shows what is seen there.
    """

    def __init__(self, rollouts: Rollouts, tracker: Tracker) -> None:
        self._rollouts, self._tracker = rollouts, tracker

    def walk(
        self,
        place: int,
        starts: Sequence[Pose],
        first: Sequence[np.ndarray],
        scripts: Sequence[Sequence[str]],
        *,
        seed: Sequence[int],
    ) -> list[Walked]:
        """Returns the walk of each script through one place.

        Args:
            place: number of the place, as the tracker's oracle counts them.
            starts: where each walk begins.
            first: the view there, uint8 [H, W, 3].
            scripts: the text before each step; walks may differ in length.
            seed: noise seed of each walk's first step; later ones have the numbers behind it.

        Raises:
            UserError: a document does not fit the model's context.
        """
        contexts, poses = [Context((view,)) for view in first], [[start] for start in starts]
        imagined: list[list[np.ndarray]] = [[] for _ in starts]
        for number in range(max(map(len, scripts))):
            going = [n for n, script in enumerate(scripts) if number < len(script)]
            drawn = self._rollouts.ends(
                [contexts[n] for n in going],
                [[scripts[n][number]] for n in going],
                seed=[seed[n] + number for n in going],
            )
            led = self._tracker.steps(place, [poses[n][-1] for n in going], drawn)
            for n, view, pose in zip(going, drawn, led, strict=True):
                seen = self._tracker.view(place, pose)
                before, text = contexts[n], scripts[n][number]
                contexts[n] = Context((*before.views, seen), (*before.actions, text))
                imagined[n].append(view)
                poses[n].append(pose)
        return [
            Walked(way, np.stack(views), np.stack(context.views[1:]))
            for way, views, context in zip(poses, imagined, contexts, strict=True)
        ]
