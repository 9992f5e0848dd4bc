"""Settings of the loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chiasm.loop.optimizer import OPTIMIZERS, AdamWSettings, OptimizerSettings
from chiasm.loop.schedule import ScheduleSettings
from chiasm.loop.tracker import TrackerSettings
from chiasm.settings import Settings


class LoopSettings(Settings):
    """A loop's horizon, its steps and its files, whatever it trains."""

    steps: int = Field(1000, ge=1)
    """Updates of the weights: the horizon of the schedule and the end of the run."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients longer than this are shortened to it."""
    spike_factor: float | None = Field(None, gt=1)
    """Skip steps whose gradients are longer than this many times their running mean. After five in
    a row the weights go back to the last checkpoint, and the data go on; none: nothing is a
    spike."""
    log_every_steps: int = Field(1, ge=1)
    """Steps between lines of metrics."""
    validate_every_steps: int = Field(200, ge=1)
    """Steps between validations; the last step is always validated."""
    checkpoint_every_steps: int = Field(200, ge=1)
    """Steps between checkpoints; the last step, and a stop on request, always make one."""
    keep_checkpoints: int = Field(2, ge=1)
    """Newest checkpoints that stay on disk."""
    keep_every_steps: int | None = Field(None, ge=1)
    """Checkpoints of multiples of so many steps stay as well, for branches."""
    trace_step: int | None = Field(None, ge=1)
    """Step whose operations are recorded by torch's profiler, into trace/ of the run, for Perfetto
    or chrome://tracing; the first steps of a process are slower than the rest."""
    background_checkpoints: bool | Literal["auto"] = "auto"
    """Write checkpoints while the training goes on, from a copy in the host's memory; auto is true
    except on a CPU."""
    optimizer: Annotated[OptimizerSettings, OPTIMIZERS] = AdamWSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    tracker: TrackerSettings = TrackerSettings()
