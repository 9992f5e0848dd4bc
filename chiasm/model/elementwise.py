"""The operations between the matrix products: RMSNorm, rotary positions, SwiGLU.

Each has a plain definition, which a compiler fuses on a GPU and which is the reference of the
tests. Eager execution on a CPU runs it as five to ten passes over memory; there the same
mathematics is written as an autograd function with few passes (benchmarks/train_step.py shows
what that is worth).

Shape suffixes: M rows, D width, F expert width; B rows, T positions, H heads, K head width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

EPSILON = 1e-6
"""Added to the mean square before its root is taken."""


def rms_norm(x_MD: Tensor, gain_D: Tensor) -> Tensor:
    """x / sqrt(mean(x²) + ε) · gain over the last dimension (arXiv 1910.07467, equation 4)."""
    if x_MD.device.type == "cpu" and x_MD.dtype == torch.float32:
        return _RMSNorm.apply(x_MD, gain_D)
    return F.rms_norm(x_MD, (x_MD.shape[-1],), gain_D, EPSILON)


def swiglu(h_MF2: Tensor) -> Tensor:
    """silu(gate) · up for h = [gate, up] along the last dimension (arXiv 2002.05202)."""
    if h_MF2.device.type == "cpu" and h_MF2.dtype == torch.float32:
        return _SwiGLU.apply(h_MF2)
    gate_MF, up_MF = h_MF2.chunk(2, dim=-1)
    return F.silu(gate_MF) * up_MF


def rotate(x_BTHK: Tensor, turn_BTK: Tensor) -> Tensor:
    """Turn each pair (x[2i], x[2i+1]) by its angle (RoPE, arXiv 2104.09864, equation 34).

    ``turn_BTK`` holds cosine and sine of each pair's angle side by side, [B, T, K].
    """
    pairs_BTHK2 = x_BTHK.unflatten(-1, (-1, 2))
    turn_BT1K2 = turn_BTK.unflatten(-1, (-1, 2)).unsqueeze(2)
    if x_BTHK.device.type == "cpu" and x_BTHK.dtype == torch.float32:
        # Multiplication by a unit complex number: one pass forward, one backward.
        turned = torch.view_as_complex(pairs_BTHK2) * torch.view_as_complex(turn_BT1K2)
        return torch.view_as_real(turned).flatten(-2)
    x0, x1 = pairs_BTHK2.unbind(-1)
    cosine, sine = turn_BT1K2.to(x_BTHK.dtype).unbind(-1)
    return torch.stack((x0 * cosine - x1 * sine, x0 * sine + x1 * cosine), dim=-1).flatten(-2)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, gain_D: Tensor) -> Tensor:
        width = x_MD.shape[-1]
        square_M = torch.linalg.vector_norm(x_MD, dim=-1, keepdim=True).square_()
        scale_M = square_M.div_(width).add_(EPSILON).rsqrt_()
        ctx.save_for_backward(x_MD, gain_D, scale_M)
        return (x_MD * scale_M).mul_(gain_D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, Tensor]:
        x_MD, gain_D, scale_M = ctx.saved_tensors
        width = x_MD.shape[-1]
        # The fused backward of layer norm, told that the mean is zero, is the backward of RMSNorm
        # but for the gradient through the mean, mean(grad · gain) · scale, which is put back.
        grad_x, grad_gain, _ = torch.ops.aten.native_layer_norm_backward(
            grad_MD, x_MD, [width], torch.zeros_like(scale_M), scale_M, gain_D, None,
            [True, True, False],
        )  # fmt: skip
        mean_M = (grad_MD @ gain_D).div_(width).unsqueeze_(-1)
        return grad_x.add_(mean_M.mul_(scale_M)), grad_gain


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h_MF2: Tensor) -> Tensor:
        ctx.save_for_backward(h_MF2)
        gate_MF, up_MF = h_MF2.chunk(2, dim=-1)
        return F.silu(gate_MF).mul_(up_MF)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MF: Tensor) -> Tensor:
        (h_MF2,) = ctx.saved_tensors
        gate_MF, up_MF = h_MF2.chunk(2, dim=-1)
        grad_MF2 = torch.empty_like(h_MF2)
        grad_gate_MF, grad_up_MF = grad_MF2.chunk(2, dim=-1)
        torch.mul(F.silu(gate_MF), grad_MF, out=grad_up_MF)
        torch.ops.aten.silu_backward.grad_input(grad_MF * up_MF, gate_MF, grad_input=grad_gate_MF)
        return grad_MF2
