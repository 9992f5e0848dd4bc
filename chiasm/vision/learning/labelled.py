"""The frames of a source that knows what they show, as captioned pictures with ground truth."""

from __future__ import annotations

import numpy as np

from chiasm.capabilities import Labelled
from chiasm.vision.learning.pictures import Box, Pictures

_MOST_OBJECTS = 4
"""Counted as a fact; more of them are as many."""


def pictures_of_frames(source: Labelled, *, clear_only: bool = False) -> Pictures:
    """All frames of a source; or only those whose truth leaves no doubt."""
    numbers = source.clear_frames if clear_only else np.arange(len(source.frames))
    objects = [source.objects(int(number)) for number in numbers]
    data = f"{source.frames_told}, {len(numbers)} frames"
    return Pictures(
        source.frames[numbers] if clear_only else source.frames,
        [source.captions(int(number)) for number in numbers],
        data + (" that are clear" if clear_only else ""),
        facts=[
            {**source.facts(int(number)), "objects": str(min(len(seen), _MOST_OBJECTS))}
            for number, seen in zip(numbers, objects, strict=True)
        ],
        boxes=[
            tuple(Box(name, top, left, bottom, right) for name, (left, top, right, bottom) in seen)
            for seen in objects
        ],
    )
