"""Linear layer, norm and rotary table; linear layer and norm with weights of each modality.

Shape suffixes: B rows, T positions, D width, K head width; M rows of any kind; X modalities, text
(and padding) first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.model.elementwise import rms_norm
from chiasm.model.routing import Routing
from chiasm.roles import Role


class Linear(nn.Module):
    """y = x Wᵀ, computed in the type of x: master weights may stay float32 under bfloat16."""

    roles: ClassVar = {"weight": Role.MATRIX}

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_outputs, num_inputs))

    def forward(self, x_MD: Tensor) -> Tensor:
        """[..., inputs] → [..., outputs]."""
        return F.linear(x_MD, self.weight.to(x_MD.dtype))

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * self.weight.numel()


class RMSNorm(nn.Module):
    """Root-mean-square norm with a gain; see :func:`chiasm.model.elementwise.rms_norm`."""

    roles: ClassVar = {"gain": Role.GAIN}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(width))

    def forward(self, x_MD: Tensor) -> Tensor:
        """[..., D] → [..., D]."""
        return rms_norm(x_MD, self.gain.to(x_MD.dtype))


class ModalityLinear(nn.Module):
    """A :class:`Linear` for each modality, in one grouped product."""

    roles: ClassVar = {"weight": Role.MATRIX}

    def __init__(self, num_modalities: int, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_modalities, num_outputs, num_inputs))

    def forward(self, x_BTD: Tensor, by_modality: Routing) -> Tensor:
        """[B, T, inputs] → [B, T, outputs]."""
        weight_XOD = self.weight.to(x_BTD.dtype)
        rows = by_modality.dispatch(x_BTD.flatten(0, 1))
        rows = F.grouped_mm(rows, weight_XOD.transpose(1, 2), offs=by_modality.ends_E)
        return by_modality.combine(rows).unflatten(0, x_BTD.shape[:2])

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * self.weight[0].numel()


class ModalityNorm(nn.Module):
    """A :class:`RMSNorm` with a gain for each modality."""

    roles: ClassVar = {"gain": Role.GAIN}

    def __init__(self, num_modalities: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(num_modalities, width))

    def forward(self, x_BTD: Tensor, own_BT1: Sequence[Tensor]) -> Tensor:
        """[B, T, D] → [B, T, D].

        ``own_BT1``: of each modality but text, 1 at its positions and 0 elsewhere.
        """
        text_D, *others = self.gain.to(x_BTD.dtype)
        gain_BTD = text_D
        for other_D, own in zip(others, own_BT1, strict=True):
            gain_BTD = gain_BTD + (other_D - text_D) * own
        return rms_norm(x_BTD, torch.ones_like(text_D)) * gain_BTD


class RotaryTable(nn.Module):
    """Cosine and sine of every position's angles, as ``turn_heads`` takes them."""

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
