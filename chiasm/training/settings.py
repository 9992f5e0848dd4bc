"""How long and how the decoder trains."""

from __future__ import annotations

from pydantic import Field

from chiasm.device import Precision
from chiasm.loop.settings import LoopSettings


class TrainingSettings(LoopSettings):
    """One run of the decoder."""

    batches_per_step: int = Field(1, ge=1)
    """Batches whose gradients add up to one step, with counts taken over all of them."""
    balance_rate: float = Field(0.0, ge=0)
    """After each step, experts that got less than the mean are preferred by so much more, the
    others by so much less (arXiv 2408.15664 has 1e-3): balance without a loss."""
    validation_batches: int = Field(8, ge=0)
    """Held-out batches of one validation."""
    validation_flow_times: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    """Noise levels of validation: 0 is noise, 1 is data."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto is cuda where there is one."""
    precision: Precision = "auto"
    """Of matrix products; auto is bfloat16 on CUDA and float32 on CPU. Weights are float32."""
    compile_blocks: bool = False
    """Compile the decoder's blocks with torch.compile."""
