"""Reasons why a section of the atlas could not be measured, with remedies.

A document that was not read may hold what is missing: each reason says what was read and whether
more is held out.
"""

from __future__ import annotations

import math

import numpy as np

from chiasm.evaluation.atlas.observation import CONTEXT, TARGET, TEXT, Observation, Task
from chiasm.evaluation.atlas.specialisation import Specialisation

HOLDS = {
    (TEXT,): "text",
    (TARGET,): "a picture to draw",
    (CONTEXT, TARGET): "a picture",
}
"""Groups of positions → what a document with such positions holds."""

ASKS = {
    Task.UNDERSTANDING: "reads a picture and goes on in words",
    Task.GENERATION: "asks for one picture in words",
}


def no_specialisation(observed: Observation) -> str:
    """Returns the reason when text or images were not seen."""
    missing = [
        f"holds {HOLDS[parts]}"
        for parts in ((TEXT,), (CONTEXT, TARGET))
        if not observed.positions(*parts).any()
    ]
    return f"S compares text with pictures, and {_none(observed, missing)}"


def no_tasks(observed: Observation) -> str:
    """Returns the reason when one of the tasks, or both, were not seen."""
    missing = [asks for task, asks in ASKS.items() if not (observed.task_D == task).any()]
    return _none(observed, missing)


def no_pairs() -> str:
    """Returns the reason for missing pairs, which depends on the model alone."""
    return (
        "each position chooses one routed expert, so that there are no pairs: train with a larger "
        "model.moe.top_k or model.moe.granularity"
    )


def no_vision_experts(observed: Observation, special: Specialisation | None) -> str:
    """Returns the reason when images are drawn but no expert is known to be of vision."""
    if special is None:
        return f"which experts are of vision is not known: {no_specialisation(observed)}"
    least = float(np.nanmin(special.value_QR))
    told = f"no expert is of vision at this cut-off: the least S is {least:.3f}"
    cutoff = (math.ceil(-100 * least) - 1) / 100  # the largest of two digits that is low enough
    return f"{told}; with --cutoff {cutoff:.2f} there is one" if cutoff > 0 else told


def no_spread(observed: Observation, *parts: int) -> str:
    """Returns the reason when fewer than two groups have positions of these parts."""
    if not observed.positions(*parts).any():
        return _none(observed, [f"holds {HOLDS[parts]}"])
    return (
        f"all positions of {HOLDS[parts]} lie in one group (one source, or one place), and "
        "variation needs two"
    )


def _none(observed: Observation, missing: list[str]) -> str:
    """Returns that no document does these things, and advice: more documents or other sources."""
    read = len(observed.source_D)
    told = f"of the {read:,} documents read none {', and none '.join(missing)}"
    unread = observed.held_out - read
    if unread:
        return (
            f"{told}; {unread:,} more are held out: a larger --documents may find one; if these "
            "sources have none, train with one that does"
        )
    return f"{told}; all that is held out was read: train with a source that has some"
