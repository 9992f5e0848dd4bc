"""Pieces of held-out trajectories: a history of frames and actions, and what followed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from chiasm.capabilities import ActionVideos
from chiasm.data.reading import UNDECODED, UNREADABLE
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.strangers import NOBODY, strangers

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.evaluation.shared import WalkSettings


@dataclass(frozen=True)
class Pieces:
    """N pieces of T frames each: the history first, then the frames to imagine."""

    frames: np.ndarray
    """uint8 [N, T, H, W, 3]."""
    actions: list[list[str]]
    """T - 1 actions of each piece; the i-th leads from its i-th frame to the next."""
    clusters: np.ndarray
    """Map or trajectory of each piece, int64 [N]."""
    numbers: list[range]
    """Numbers of each piece's frames in its source."""

    def __len__(self) -> int:
        return len(self.actions)

    def scripts(self, history_frames: int) -> list[list[str]]:
        """Returns the actions of each piece behind its history."""
        return [own[history_frames - 1 :] for own in self.actions]

    def shuffled(self, history_frames: int, seed: int) -> list[list[str]]:
        """Returns, for each piece, different actions from another walk or map.

        They differ from the first step on, if there are such; if there are none at all, they are
        the piece's own.

        Raises:
            NothingToMeasure: there are none for any piece.
        """
        scripts = self.scripts(history_frames)
        first = strangers(self.clusters, [script[0] for script in scripts], seed)
        whole = strangers(self.clusters, [tuple(script) for script in scripts], seed)
        found = np.where(first == NOBODY, whole, first)
        if (found == NOBODY).all():
            walks = len(set(self.clusters.tolist()))
            raise NothingToMeasure(
                "all held-out pieces are of one walk or map, and there are no actions of another; "
                "hold out more walks"
                if walks == 1
                else f"the actions on all {walks} held-out walks or maps are the same"
            )
        return [scripts[n if other == NOBODY else other] for n, other in enumerate(found)]


def cut_pieces(
    run: Run[WalkSettings], source: ActionVideos, count: int, ahead_frames: int
) -> Pieces:
    """Returns at most ``count`` pieces, spread evenly over all positions in all walks.

    Those with an image that cannot be decoded are left out, and counted in the run's log.

    Raises:
        NothingToMeasure: no walk is as long, or no picture can be decoded.
    """
    history_frames = run.settings.history_frames
    length = history_frames + ahead_frames
    places = [
        walk[begin : begin + length]
        for walk in source.walks
        for begin in range(len(walk) - length + 1)
    ]
    if not places:
        raise NothingToMeasure(
            f"evaluation.history_frames = {history_frames} is as long as every held-out walk of "
            f"source {source.name!r}; lower it, or give longer walks"
        )
    chosen, frames = [], []
    for place in (places[number] for number in spread(len(places), count)):
        try:
            frames.append(np.stack([run.fitted(source.picture(frame)) for frame in place]))
        except UNREADABLE as error:
            run.log.pass_over(source, f"frames from {place[0]}", UNDECODED, str(error))
            continue
        chosen.append(place)
    if not chosen:
        raise NothingToMeasure(f"no held-out picture of source {source.name!r} can be decoded")
    return Pieces(
        np.stack(frames),
        [[source.action(a, b) for a, b in pairwise(place)] for place in chosen],
        np.array([source.place_of(place[-1]) for place in chosen], np.int64),
        chosen,
    )
