"""Learning rate as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from chiasm.settings import Settings


class ScheduleSettings(Settings):
    """Linear warm-up, then a fall to a floor that is reached at the last step."""

    shape: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls from its peak to the floor."""
    warmup_steps: int = Field(60, ge=0)
    """Steps of linear rise to the peak."""
    floor: float = Field(0.1, ge=0, le=1)
    """Learning rate of the last step, as a share of the peak."""


def learning_rate_share(settings: ScheduleSettings, step: int, num_steps: int) -> float:
    """Share of the peak learning rate that step ``step`` (0-based, of ``num_steps``) uses.

    The warm-up rises as (step + 1) / warmup_steps; after it, with progress p in [0, 1],
    floor + (1 - floor) (1 + cos(pi p)) / 2, or floor + (1 - floor) (1 - p).
    """
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    falling_steps = max(num_steps - 1 - settings.warmup_steps, 1)
    progress = min((step - settings.warmup_steps) / falling_steps, 1.0)
    if settings.shape == "cosine":
        height = (1.0 + math.cos(math.pi * progress)) / 2.0
    else:
        height = 1.0 - progress
    return settings.floor + (1.0 - settings.floor) * height
