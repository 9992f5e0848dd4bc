"""The path from noise to data, and what a network may predict along it.

Flow time t is 0 at noise and 1 at data: z_t = (1 - t)·ε + t·z, with velocity v = z - ε (rectified
flow, arXiv 2209.03003). Knowing z_t and t, each of z, v and ε gives the other two.

A fourth space asks the network only for what z_t does not determine. For standardized latents the
best linear guess of v from z_t is (2t - 1)/s² · z_t with s² = t² + (1 - t)², and what remains has
the variance 1/s²; a preconditioned network predicts F in v = (2t - 1)/s² · z_t + F/s. This is the
preconditioning of EDM (arXiv 2206.00364, table 1, σ_data = 1) written for this path: F has unit
variance and turns from z at noise to -ε at data, with no denominator near 0 anywhere.

Shape suffixes: L latent tokens of all images, C latent channels, N images.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from chiasm.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

LossSpace = Literal["x", "v", "epsilon"]
"""In what a loss is taken: clean latents, velocity, or noise."""

Space = Literal["x", "v", "epsilon", "preconditioned"]
"""What a network predicts: one of these, or F of the module's docstring."""

FLOW_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels at which held-out items are measured, in validation as in evaluation: evenly spread,
and the same for every run, since losses at other levels cannot be compared."""

SMALLEST_DENOMINATOR = 0.05
"""Lower bound of 1 - t, or t, where a prediction is divided by it (arXiv 2511.13720)."""


class StreamFlow(Settings):
    """What differs for one stream; what is left out is as for all."""

    prediction: Space | None = None
    """What the head predicts of it."""
    shift: float | None = Field(None, gt=0)
    """α of its flow times."""


class FlowSettings(Settings):
    """How a head's output is read, and where its flow times lie: a trained model keeps to these."""

    prediction: Space = "x"
    """What the latent head predicts: clean latents x, velocity v, noise epsilon, or
    preconditioned, what the noised latents do not tell of the velocity."""
    time_distribution: Literal["uniform", "logit_normal"] = "uniform"
    """Distribution of flow time before the shift."""
    shift: float | None = Field(None, gt=0)
    """α of the shift t / (t + α·(1 - t)); None: max(1, √(P·C / 4096)) of the image's latents."""
    streams: dict[str, StreamFlow] = Field(default_factory=dict)
    """What differs for streams, by their names."""

    def of(self, stream: str) -> Self:
        """Returns the settings as they are for one stream."""
        own = self.streams.get(stream)
        return self if own is None else self.model_copy(update=own.model_dump(exclude_none=True))


def mix(z_LC: Tensor, noise_LC: Tensor, time_L: Tensor) -> Tensor:
    """Returns z_t = (1 - t)·ε + t·z; exactly z where t = 1."""
    time_L1 = time_L.unsqueeze(-1)
    return (1 - time_L1) * noise_LC + time_L1 * z_LC


def shift_time(time_N: Tensor, alpha: float | Tensor) -> Tensor:
    """Returns t' = t / (t + α·(1 - t)): α above 1 moves times towards noise (arXiv 2601.16208).

    ``alpha`` is one number, or one per image.
    """
    return time_N / (time_N + alpha * (1 - time_N))


def default_shift(image_tokens: int, channels: int) -> float:
    """Returns α = max(1, √(P·C / 4096)): more numbers in an image need more noise to hide it.

    Below 1 it would favour nearly clean images, where the velocity loss of an x-prediction
    explodes.
    """
    return max(1.0, math.sqrt(image_tokens * channels / 4096))


def velocity(output_LC: Tensor, z_t_LC: Tensor, time_L: Tensor, space: Space) -> Tensor:
    """Returns the velocity that corresponds to an output in ``space``, at z_t and t: [L, C].

    v = (x - z_t) / max(1 - t, 0.05), or v = (z_t - ε) / max(t, 0.05), or as the module's docstring
    has it for F.
    """
    time_L1 = time_L.unsqueeze(-1)
    if space == "preconditioned":
        square_L1 = time_L1.square() + (1 - time_L1).square()
        return (2 * time_L1 - 1) / square_L1 * z_t_LC + output_LC * square_L1.rsqrt()
    if space == "x":
        return (output_LC - z_t_LC) / (1 - time_L1).clamp_min(SMALLEST_DENOMINATOR)
    if space == "epsilon":
        return (z_t_LC - output_LC) / time_L1.clamp_min(SMALLEST_DENOMINATOR)
    return output_LC


def convert(
    output_LC: Tensor, z_t_LC: Tensor, time_L: Tensor, *, given: Space, wanted: LossSpace
) -> Tensor:
    """Returns an output in ``given`` expressed in ``wanted``, at z_t and t: [L, C]."""
    if given == wanted:
        return output_LC
    time_L1 = time_L.unsqueeze(-1)
    v_LC = velocity(output_LC, z_t_LC, time_L, given)
    if wanted == "v":
        return v_LC
    return z_t_LC + (1 - time_L1) * v_LC if wanted == "x" else z_t_LC - time_L1 * v_LC
