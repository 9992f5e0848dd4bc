"""Recovers the trajectory that imagined views show, step by step, with the engine's help.

From the pose so far every possible step, and standing still, is rendered; the render that weighs
most among those that make up the imagined view, by their features, gives the step. Renders pass
through the same vision tokenizer as imagined views did, so that both lack the same detail.

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
from chiasm.worldmodel.mixture import mixture
from chiasm.worldmodel.oracle import Oracle


class Tracker:
    """Tracks trajectories through the places of a source.

    It remembers the photographs of one place at a time.

    Args:
        pretrained: its vision tokenizer gives the features.
        oracle: renders the places.
        steps_from: returns the poses that one free step may lead to from a pose of a place.
    """

    def __init__(
        self, pretrained: Pretrained, oracle: Oracle, steps_from: Callable[[int, Pose], list[Pose]]
    ) -> None:
        self._pretrained, self._oracle, self._steps_from = pretrained, oracle, steps_from
        self._place: int | None = None
        self._views: dict[Pose, np.ndarray] = {}
        self._features: dict[Pose, np.ndarray] = {}

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
        poses = [[start] for start in starts]
        for number in range(max(map(len, walks))):
            going = [n for n, views in enumerate(walks) if number < len(views)]
            here = [poses[n][-1] for n in going]
            views = np.stack([walks[n][number] for n in going])
            for n, pose in zip(going, self.steps(place, here, views), strict=True):
                poses[n].append(pose)
        return poses

    def steps(self, place: int, poses: Sequence[Pose], views_NHW3: np.ndarray) -> list[Pose]:
        """Returns the pose to which one step from each pose leads, by the view that it shows.

        Args:
            place: number of the place.
            poses: N poses.
            views_NHW3: a view behind each, uint8.
        """
        seen = features(self._pretrained, views_NHW3)
        ahead = [self._steps_from(place, pose) for pose in poses]
        self._photograph(place, chain(*ahead))
        found = []
        for own, candidates in zip(seen, ahead, strict=True):
            weights = mixture(np.stack([self._features[pose] for pose in candidates]), own)
            found.append(candidates[int(weights.argmax())])
        return found

    def view(self, place: int, pose: Pose) -> np.ndarray:
        """Returns the engine's view at a pose: uint8 [H, W, 3]."""
        self._photograph(place, [pose])
        return self._views[pose]

    def _photograph(self, place: int, poses: Iterable[Pose]) -> None:
        """Renders those of some poses that are not known yet."""
        if place != self._place:
            self._place, self._views, self._features = place, {}, {}
        new = [pose for pose in dict.fromkeys(poses) if pose not in self._views]
        if new:
            views = np.stack(self._oracle.look(place, new))
            decoded = through_tokenizer(self._pretrained, views)
            self._views |= dict(zip(new, views, strict=True))
            self._features |= dict(zip(new, features(self._pretrained, decoded), strict=True))
