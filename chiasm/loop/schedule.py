"""Learning rate as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import setting
from chiasm.settings import Settings


class ScheduleSettings(Settings):
    """Linear warm-up, and a fall to a share of the peak at the last step."""

    shape: Literal["cosine", "linear", "full_cosine", "wsd"] = "cosine"
    """How the learning rate falls: from the end of the warm-up; as a full cosine, from the first
    step on; or as wsd, only in the last steps, after a stable stretch from which runs of several
    lengths can branch (arXiv 2405.18392)."""
    warmup_steps: int = Field(60, ge=0)
    """Steps of linear rise to the peak."""
    decay_steps: int | None = Field(None, ge=1)
    """Steps of the fall of wsd; None: a fifth of all."""
    min_lr_ratio: float = Field(0.1, ge=0, le=1)
    """Learning rate of the last step, as a share of the peak."""

    @model_validator(mode="after")
    def _only_wsd_decays_late(self) -> Self:
        if self.decay_steps is not None and self.shape != "wsd":
            why = f"is for {setting('shape')} = 'wsd', and it is {self.shape!r}"
            raise self.error("decay_steps", why, "leave it out, or set shape = 'wsd'")
        return self


def learning_rate(settings: ScheduleSettings, peak: float, step: int, num_steps: int) -> float:
    """Returns the learning rate of step ``step`` (0-based, of ``num_steps``).

    Computes peak · rise · (r + (1 - r) · height) with r = min_lr_ratio. The rise is
    (step + 1) / warmup_steps, 1 at most. With progress p through the fall, from 0 to 1 at the last
    step, the height is (1 + cos(pi p)) / 2, 1 - p, or for wsd 1 - sqrt(p). A full cosine reaches r
    one step after the last.
    """
    rise = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    height = _height(settings, step, num_steps)
    return peak * rise * (settings.min_lr_ratio + (1.0 - settings.min_lr_ratio) * height)


def stable_steps(settings: ScheduleSettings, num_steps: int) -> int:
    """Returns the number of steps before the fall of wsd."""
    return max(num_steps - _falling_steps(settings, num_steps), 0)


def _height(settings: ScheduleSettings, step: int, num_steps: int) -> float:
    if settings.shape == "wsd":
        falling_steps = _falling_steps(settings, num_steps)
        progress = max(step + 1 - (num_steps - falling_steps), 0) / falling_steps
        return 1.0 - math.sqrt(progress)
    if settings.shape == "full_cosine":
        progress = step / num_steps
    else:
        falling_steps = max(num_steps - 1 - settings.warmup_steps, 1)
        progress = min(max(step - settings.warmup_steps, 0) / falling_steps, 1.0)
    if settings.shape == "linear":
        return 1.0 - progress
    return (1.0 + math.cos(math.pi * progress)) / 2.0


def _falling_steps(settings: ScheduleSettings, num_steps: int) -> int:
    return settings.decay_steps or max(num_steps // 5, 1)
