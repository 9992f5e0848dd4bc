"""Pieces of held-out walks: frames that were seen, actions that were taken, and what followed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chiasm.data.batch import ImageShape
from chiasm.documents import ActionVideos
from chiasm.errors import UserError
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.inference.pictures import fitted


@dataclass(frozen=True)
class Pieces:
    """N pieces of F frames each: the history first, then what is to be imagined."""

    frames: np.ndarray
    """uint8 [N, F, H, W, 3]."""
    actions: list[list[str]]
    """F - 1 of each piece; the i-th leads from its i-th frame to the next."""
    clusters: np.ndarray
    """int64 [N]: the map or trajectory of each piece."""

    def __len__(self) -> int:
        return len(self.actions)

    def scripts(self, history_frames: int) -> list[list[str]]:
        """Of each piece the actions behind its history."""
        return [own[history_frames - 1 :] for own in self.actions]

    def shuffled(self, history_frames: int) -> list[list[str]]:
        """For each piece the script of one from elsewhere."""
        scripts = self.scripts(history_frames)
        return [scripts[other] for other in others(len(self))]


def cut_pieces(
    source: ActionVideos, count: int, history_frames: int, ahead_frames: int, shape: ImageShape
) -> Pieces:
    """At most ``count`` pieces, spread evenly over all places of all walks that one can lie at.

    Raises:
        NothingToMeasure: no walk is as long, or no picture can be decoded.
    """
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
            frames.append(np.stack([fitted(source.picture(frame), shape) for frame in place]))
        except UserError:
            continue  # a broken picture, which the stream counts and reports
        chosen.append(place)
    if not chosen:
        raise NothingToMeasure(f"no held-out picture of source {source.name!r} can be decoded")
    return Pieces(
        np.stack(frames),
        [[source.action(a, b) for a, b in pairwise(place)] for place in chosen],
        np.array([source.place_of(place[-1]) for place in chosen], np.int64),
    )


def others(count: int) -> np.ndarray:
    """For each item the one half the list away: another map, since items are ordered by map."""
    return np.roll(np.arange(count), max(1, count // 2))
