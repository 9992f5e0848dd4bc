"""The path from noise to data, and what a network may predict along it.

Flow time t is 0 at noise and 1 at data: z_t = (1 - t)·ε + t·z, with velocity v = z - ε (rectified
flow, arXiv 2209.03003). Knowing z_t and t, each of z, v and ε gives the other two.

Shape suffixes: L latent tokens of all images, C latent channels, N images.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

Space = Literal["x", "v", "epsilon"]
"""What a network predicts, or in what a loss is taken: clean latents, velocity, or noise."""

SMALLEST_DENOMINATOR = 0.05
"""Least value of 1 - t, or t, that a prediction is divided by (arXiv 2511.13720)."""


def mix(z_LC: Tensor, noise_LC: Tensor, time_L: Tensor) -> Tensor:
    """z_t = (1 - t)·ε + t·z; exactly z where t = 1."""
    time_L1 = time_L.unsqueeze(-1)
    return (1 - time_L1) * noise_LC + time_L1 * z_LC


def shift_time(time_N: Tensor, alpha: float | Tensor) -> Tensor:
    """t' = t / (t + α·(1 - t)): α above 1 moves times towards noise (arXiv 2601.16208).

    ``alpha`` is one number, or one per image.
    """
    return time_N / (time_N + alpha * (1 - time_N))


def default_shift(image_tokens: int, channels: int) -> float:
    """α = max(1, √(P·C / 4096)): more numbers in an image need more noise to hide it.

    Below 1 it would favour nearly clean images, where the velocity loss of an x-prediction
    explodes.
    """
    return max(1.0, math.sqrt(image_tokens * channels / 4096))


def velocity(output_LC: Tensor, z_t_LC: Tensor, time_L: Tensor, space: Space) -> Tensor:
    """The velocity that an output in ``space`` stands for, at z_t and t.

    v = (x - z_t) / max(1 - t, 0.05), or v = (z_t - ε) / max(t, 0.05).
    """
    time_L1 = time_L.unsqueeze(-1)
    if space == "x":
        return (output_LC - z_t_LC) / (1 - time_L1).clamp_min(SMALLEST_DENOMINATOR)
    if space == "epsilon":
        return (z_t_LC - output_LC) / time_L1.clamp_min(SMALLEST_DENOMINATOR)
    return output_LC


def convert(
    output_LC: Tensor, z_t_LC: Tensor, time_L: Tensor, *, given: Space, wanted: Space
) -> Tensor:
    """Express in ``wanted`` what an output in ``given`` says, at z_t and t."""
    if given == wanted:
        return output_LC
    time_L1 = time_L.unsqueeze(-1)
    v_LC = velocity(output_LC, z_t_LC, time_L, given)
    if wanted == "v":
        return v_LC
    return z_t_LC + (1 - time_L1) * v_LC if wanted == "x" else z_t_LC - time_L1 * v_LC
