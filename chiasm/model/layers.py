"""Linear layer and norm, with one weight or one of each modality; rotary table.

Shape suffixes: B rows, T positions, D width, K head width; M rows of any kind.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.streams import TEXT
from chiasm.model.elementwise import rms_norm
from chiasm.model.routing import Routing
from chiasm.roles import Role


class Linear(nn.Module):
    """y = x Wᵀ, computed in the type of x: master weights may stay float32 under bfloat16.

    With ``modalities`` each of them has a weight, and one grouped product serves all.
    """

    roles: ClassVar = {"weight": Role.MATRIX}

    def __init__(self, num_inputs: int, num_outputs: int, modalities: int | None = None) -> None:
        super().__init__()
        each = () if modalities is None else (modalities,)
        self.weight = nn.Parameter(torch.empty(*each, num_outputs, num_inputs))

    def forward(self, x_MD: Tensor, by_modality: Routing | None = None) -> Tensor:
        """[..., inputs] → [..., outputs]; ``by_modality`` has the rows of each modality."""
        weight = self.weight.to(x_MD.dtype)
        if weight.ndim == 2:
            return F.linear(x_MD, weight)
        assert by_modality is not None  # the decoder sorts where a layer needs it
        rows = by_modality.products(by_modality.dispatch(x_MD.flatten(0, -2)), weight)
        return by_modality.combine(rows).unflatten(0, x_MD.shape[:-1])

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * (self.weight.numel() - self.inactive_parameters())

    def inactive_parameters(self) -> int:
        """Numbers that one row does not use: those of other modalities."""
        return _others(self.weight) if self.weight.ndim == 3 else 0


class RMSNorm(nn.Module):
    """Root-mean-square norm with a gain; see :func:`chiasm.model.elementwise.rms_norm`.

    With ``modalities`` each of them has a gain.
    """

    roles: ClassVar = {"gain": Role.GAIN}

    def __init__(self, width: int, modalities: int | None = None) -> None:
        super().__init__()
        each = () if modalities is None else (modalities,)
        self.gain = nn.Parameter(torch.ones(*each, width))

    def forward(self, x_MD: Tensor, modality_M: Tensor) -> Tensor:
        """[..., D] → [..., D], each position with the gain of its modality [...]."""
        gain = self.gain.to(x_MD.dtype)
        if gain.ndim == 1:
            return rms_norm(x_MD, gain)
        text_D, *others = gain
        gain_MD = text_D
        for number, own_D in enumerate(others, TEXT + 1):
            gain_MD = gain_MD + (own_D - text_D) * (modality_M == number).unsqueeze(-1)
        return rms_norm(x_MD, torch.ones_like(text_D)) * gain_MD

    def inactive_parameters(self) -> int:
        """Numbers that one position does not use: those of other modalities."""
        return _others(self.gain) if self.gain.ndim == 2 else 0


def _others(weight: Tensor) -> int:
    """Numbers of all modalities but one; slices of what is split over ranks would be gathered."""
    return weight.numel() // len(weight) * (len(weight) - 1)


class RotaryTable(nn.Module):
    """Cosine and sine of every position's angles, as ``apply_rotary`` takes them."""

    frequency: Tensor

    def __init__(self, head_width: int, base: float) -> None:
        super().__init__()
        exponent = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
        self.register_buffer("frequency", (base**-exponent).float(), persistent=False)

    def forward(self, position_BT: Tensor) -> Tensor:
        """Positions [B, T] → float32 [B, T, K]: cosine and sine of each pair, side by side."""
        angle = position_BT.unsqueeze(-1).float() * self.frequency
        return torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(-2)


def sinusoids(x_M: Tensor, width: int, longest_period: float) -> Tensor:
    """Sines and cosines of x at ``width`` / 2 periods from 2π to 2π · ``longest_period``.

    [M] → float32 [M, width] (Vaswani et al. 2017, section 3.5).
    """
    exponent = torch.arange(width // 2, device=x_M.device) / max(width // 2, 1)
    angle = x_M.float().unsqueeze(-1) * longest_period**-exponent
    return torch.cat((angle.cos(), angle.sin(), angle.new_zeros(len(x_M), width % 2)), dim=-1)
