"""Learning rate as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from chiasm.settings import Settings


class ScheduleSettings(Settings):
    """Linear warm-up, and a fall to a share of the peak at the last step."""

    shape: Literal["cosine", "linear", "full_cosine"] = "cosine"
    """How the learning rate falls: from the end of the warm-up, or, as a full cosine, from the
    first step on."""
    warmup_steps: int = Field(60, ge=0)
    """Steps of linear rise to the peak."""
    min_lr_ratio: float = Field(0.1, ge=0, le=1)
    """Learning rate of the last step, as a share of the peak."""


def learning_rate(settings: ScheduleSettings, peak: float, step: int, num_steps: int) -> float:
    """Returns the learning rate of step ``step`` (0-based, of ``num_steps``).

    Computes peak · rise · fall. The rise is (step + 1) / warmup_steps, 1 at most; the fall, with
    progress p in [0, 1] and r = min_lr_ratio, r + (1 - r)(1 + cos(pi p)) / 2 or r + (1 - r)(1 - p).
    A full cosine reaches r one step after the last.
    """
    rise = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    if settings.shape == "full_cosine":
        progress = step / num_steps
    else:
        falling_steps = max(num_steps - 1 - settings.warmup_steps, 1)
        progress = min(max(step - settings.warmup_steps, 0) / falling_steps, 1.0)
    if settings.shape == "linear":
        height = 1.0 - progress
    else:
        height = (1.0 + math.cos(math.pi * progress)) / 2.0
    return peak * rise * (settings.min_lr_ratio + (1.0 - settings.min_lr_ratio) * height)
