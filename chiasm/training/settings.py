"""How long and how a run trains."""

from __future__ import annotations

from pydantic import Field

from chiasm.device import Precision
from chiasm.settings import Settings
from chiasm.training.optimiser import OptimiserSettings
from chiasm.training.schedule import ScheduleSettings


class TrainingSettings(Settings):
    """One run: its horizon, its step, and what it writes on the way."""

    steps: int = Field(1000, ge=1)
    """Updates of the weights: the horizon of the schedule and the end of the run."""
    batches_per_step: int = Field(1, ge=1)
    """Batches whose gradients add up to one step, with counts taken over all of them."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradients longer than this are shortened to it."""
    non_finite_limit: int = Field(10, ge=1)
    """Steps without a finite gradient, one after another, that end the run."""
    balance_rate: float = Field(0.0, ge=0)
    """After each step, experts that got less than the mean are preferred by so much more, the
    others by so much less (arXiv 2408.15664 has 1e-3): balance without a loss."""
    log_every_steps: int = Field(1, ge=1)
    """Steps between lines of metrics."""
    validate_every_steps: int = Field(200, ge=1)
    """Steps between validations; the last step is always validated."""
    validation_batches: int = Field(8, ge=0)
    """Held-out batches of one validation."""
    validation_flow_times: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    """Noise levels of validation: 0 is noise, 1 is data."""
    checkpoint_every_steps: int = Field(200, ge=1)
    """Steps between checkpoints; the last step, and a stop on request, always make one."""
    keep_checkpoints: int = Field(2, ge=1)
    """Newest checkpoints that stay on disk."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto is cuda where there is one."""
    precision: Precision = "auto"
    """Of matrix products; auto is bfloat16 on CUDA and float32 on CPU. Weights are float32."""
    compile_blocks: bool = False
    """Compile the decoder's blocks with torch.compile."""
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
