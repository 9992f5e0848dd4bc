"""Documents of videos and action videos: their spans, and frames at random horizons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from chiasm.capabilities import ActionVideos
from chiasm.documents import Document, Image, Text


def video(source: ActionVideos, frames: Iterable[int]) -> Document:
    """Returns frames of a source, all to be drawn: ["video:", Image(target), ...]."""
    return Document((Text("video:"), *(_drawn(source, frame) for frame in frames)))


def action_video(source: ActionVideos, frames: Sequence[int]) -> Document:
    """Returns frames of a walk and the actions between them, the first frame as context:
    [Image(context), Text, Image(target), Text, Image(target), ...]."""
    spans: list[Text | Image] = [source.picture(frames[0])]
    for before, after in pairwise(frames):
        spans += [Text(source.action(before, after)), _drawn(source, after)]
    return Document(tuple(spans))


def _drawn(source: ActionVideos, frame: int) -> Image:
    return Image(source.picture(frame).data, target=True)


def draw_goals(
    first: int,
    walk: range,
    steps: Sequence[int],
    frames: int,
    owed_frames: int,
    rng: np.random.Generator,
) -> list[int]:
    """Returns the frames behind the first one.

    Args:
        first: where the document begins.
        walk: the frames that it may show.
        steps: horizons, the nearest first; negative ones look back.
        frames: of the document, the first included; fewer where the walk has no room.
        owed_frames: so many a document must have: room is kept for them at the nearest horizon.
        rng: draws them.
    """
    goals: list[int] = []
    here = first
    for nth in range(1, frames):
        room = walk.stop - max(0, owed_frames - 1 - nth) * max(0, steps[0])
        allowed = [step for step in steps if walk.start <= here + step < room]
        if not allowed:
            break
        here += allowed[int(rng.integers(len(allowed)))]
        goals.append(here)
    return goals
