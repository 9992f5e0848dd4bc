"""Documents of videos and action videos: their spans, and frames at random horizons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from chiasm.capabilities import ActionVideos
from chiasm.documents import Document, Image, Text


def video(source: ActionVideos, frames: Iterable[int]) -> Document:
    """Returns frames of a source, all as targets: ["video:", Image(target), ...]."""
    return Document((Text("video:"), *(_drawn(source, frame) for frame in frames)))


def action_video(source: ActionVideos, frames: Sequence[int]) -> Document:
    """Returns frames of a walk with the actions between them, the first frame as context.

    [Image(context), Text, Image(target), Text, Image(target), ...].
    """
    spans: list[Text | Image] = [source.picture(frames[0])]
    for before, after in pairwise(frames):
        spans += [Text(source.action(before, after)), _drawn(source, after)]
    return Document(tuple(spans))


def there_and_back(frames: Sequence[int]) -> list[int]:
    """Returns frames, and then the same ones back to the first."""
    return [*frames, *frames[-2::-1]]


def inverse_dynamics(source: ActionVideos, before: int, after: int) -> Document:
    """Returns two given frames of a walk, then the action between them, which is to be written.

    [Image(context), Image(context), Text].
    """
    views = source.picture(before), source.picture(after)
    return Document((*views, Text(source.action(before, after))))


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
    """Returns the frames of a document after its first, each at a random horizon from the last.

    Args:
        first: first frame of the document.
        walk: frames that the document may show.
        steps: horizons in recorded frames, the nearest first; negative ones look back.
        frames: number of frames, the first included; fewer if the walk has no room.
        owed_frames: least number of frames: room is kept for them at the nearest horizon.
        rng: generator of the random horizons.
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
