"""Recovers the trajectory that imagined views show, step by step, with the engine's help.

From the pose so far every possible step, and standing still, is rendered; the render whose features
are nearest to the imagined view gives the step. Renders pass through the same vision tokenizer as
imagined views did, so that both lack the same detail.

This is greedy: a step that is mistaken for another one misleads every later step, which makes the
measure strict. How often true views are tracked to their end bounds how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from chiasm.inference.pictures import features, through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.poses import Pose
from chiasm.worldmodel.oracle import Oracle


class Tracker:
    """Tracks trajectories through the places of a source.

    Args:
        pretrained: its vision tokenizer gives the features.
        oracle: renders the places.
        steps_from: returns the poses that one free step may lead to from a pose of a place.
    """

    def __init__(
        self, pretrained: Pretrained, oracle: Oracle, steps_from: Callable[[int, Pose], list[Pose]]
    ) -> None:
        self._pretrained, self._oracle, self._steps_from = pretrained, oracle, steps_from

    def follow(
        self, place: int, starts: Sequence[Pose], walks: Sequence[np.ndarray]
    ) -> list[list[Pose]]:
        """Returns the poses of some trajectories through one place, each from its known start on.

        Args:
            place: number of the place, as the oracle counts them.
            starts: where each trajectory begins.
            walks: for each, the views behind its start, uint8 [S, H, W, 3]; S may differ.

        Returns:
            for each trajectory its 1 + S poses.
        """
        seen = [features(self._pretrained, views) for views in walks]
        poses = [[start] for start in starts]
        known: dict[Pose, np.ndarray] = {}
        for number in range(max(map(len, walks))):
            going = [n for n, views in enumerate(walks) if number < len(views)]
            ahead = {n: self._steps_from(place, poses[n][-1]) for n in going}
            self._photograph(place, ahead.values(), known)
            for n in going:
                apart = [float(((known[p] - seen[n][number]) ** 2).sum()) for p in ahead[n]]
                poses[n].append(ahead[n][int(np.argmin(apart))])
        return poses

    def _photograph(
        self, place: int, ahead: Iterable[Sequence[Pose]], known: dict[Pose, np.ndarray]
    ) -> None:
        """Adds to ``known`` the features of poses that are not in it yet."""
        new = [pose for pose in dict.fromkeys(chain(*ahead)) if pose not in known]
        if new:
            views = np.stack(self._oracle.look(place, new))
            decoded = through_tokenizer(self._pretrained, views)
            known |= dict(zip(new, features(self._pretrained, decoded), strict=True))
