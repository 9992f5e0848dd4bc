"""The frames of an action video: each at a random horizon from the one before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
