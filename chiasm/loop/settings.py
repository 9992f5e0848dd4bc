"""Settings of the loop and of the optimizer."""

from __future__ import annotations

from pydantic import Field

from chiasm.loop.schedule import ScheduleSettings
from chiasm.settings import Settings


class OptimizerSettings(Settings):
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101)."""

    learning_rate: float = Field(1.5e-3, gt=0)
    """Peak learning rate; the schedule scales it."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of gradients."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """Decay of the mean of squared gradients."""
    epsilon: float = Field(1e-8, gt=0)
    """Added to the root of the mean of squared gradients."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled decay of matrices, times the learning rate."""


class LoopSettings(Settings):
    """A loop's horizon, its steps and its files, whatever it trains."""

    steps: int = Field(1000, ge=1)
    """Updates of the weights: the horizon of the schedule and the end of the run."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients longer than this are shortened to it."""
    log_every_steps: int = Field(1, ge=1)
    """Steps between lines of metrics."""
    validate_every_steps: int = Field(200, ge=1)
    """Steps between validations; the last step is always validated."""
    checkpoint_every_steps: int = Field(200, ge=1)
    """Steps between checkpoints; the last step, and a stop on request, always make one."""
    keep_checkpoints: int = Field(2, ge=1)
    """Newest checkpoints that stay on disk."""
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
