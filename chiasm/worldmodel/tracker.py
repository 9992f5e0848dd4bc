"""Which walk do imagined views show? The engine tells, step by step.

From the pose so far every step that is possible there is photographed, and standing still;
the photograph whose features are nearest to the imagined view says which step it was. Photographs
pass the same vision tokenizer as imagined views did, so that both lack the same detail.

This is greedy: a step that is taken for another one leads every later step astray, which makes the
measure strict. How often true views are followed to their end says how far it can be trusted.
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
    """Follows walks through the places of a source.

    Args:
        pretrained: its vision tokenizer gives the features.
        oracle: photographs the places.
        steps_from: where one free step may lead from a pose of a place.
    """

    def __init__(
        self, pretrained: Pretrained, oracle: Oracle, steps_from: Callable[[int, Pose], list[Pose]]
    ) -> None:
        self._pretrained, self._oracle, self._steps_from = pretrained, oracle, steps_from

    def follow(
        self, place: int, starts: Sequence[Pose], walks: Sequence[np.ndarray]
    ) -> list[list[Pose]]:
        """The poses of some walks through one place, each from its known start on.

        Args:
            place: as the oracle numbers it.
            starts: where each walk begins.
            walks: of each the views behind its start, uint8 [S, H, W, 3]; S may differ.

        Returns:
            for each walk its 1 + S poses.
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
        """Add the features of the poses that are not known yet."""
        new = [pose for pose in dict.fromkeys(chain(*ahead)) if pose not in known]
        if new:
            views = np.stack(self._oracle.look(place, new))
            decoded = through_tokenizer(self._pretrained, views)
            known |= dict(zip(new, features(self._pretrained, decoded), strict=True))
