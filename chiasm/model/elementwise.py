"""The operations between the matrix products: RMSNorm, rotary heads, SwiGLU, chosen rows.

Each has a plain definition, which a compiler fuses on a GPU and which is the reference of the
tests. Eager execution on a CPU runs it as five to ten passes over memory; there the same
mathematics is written as an autograd function with few passes (benchmarks/train_step.py shows
what that is worth).

Shape suffixes: M rows, R chosen rows, D width, F expert width; B rows, T positions, H all heads of
one product (X that are rotated, then the values), K head width; 2 = the two numbers of a pair.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from chiasm.device import kind_of

EPSILON = 1e-6
"""Added to the mean square before its root is taken."""


def by_hand(x: Tensor) -> bool:
    """Whether x is computed by the functions that have their gradient written out: for float32 on a
    CPU, where nothing is compiled."""
    return on_cpu_in_float32(x) and not torch.compiler.is_compiling()


def on_cpu_in_float32(x: Tensor) -> bool:
    """Whether x is computed there, compiled or not."""
    return x.dtype == torch.float32 and kind_of(x) == "cpu"


def inverse_rms(x_MD: Tensor) -> Tensor:
    """1 / sqrt(mean(x²) + ε) over the last dimension, [..., 1]."""
    square = torch.linalg.vector_norm(x_MD, dim=-1, keepdim=True).square_()
    return square.div_(x_MD.shape[-1]).add_(EPSILON).rsqrt_()


def as_complex(x_MK: Tensor) -> Tensor:
    """Each pair (x[2i], x[2i+1]) as one number; a view, [..., K] → [..., K / 2]."""
    return torch.view_as_complex(x_MK.unflatten(-1, (-1, 2)))


def rms_norm(x_MD: Tensor, gain_D: Tensor) -> Tensor:
    """x / sqrt(mean(x²) + ε) · gain over the last dimension (arXiv 1910.07467, equation 4)."""
    if by_hand(x_MD):
        return _RMSNorm.apply(x_MD, gain_D)
    return F.rms_norm(x_MD, (x_MD.shape[-1],), gain_D, EPSILON)


def swiglu(h_MF2: Tensor) -> Tensor:
    """silu(gate) · up for h = [gate, up] along the last dimension (arXiv 2002.05202)."""
    if by_hand(h_MF2):
        return _SwiGLU.apply(h_MF2)
    gate_MF, up_MF = h_MF2.chunk(2, dim=-1)
    return F.silu(gate_MF) * up_MF


def rotate(x_BTXK: Tensor, rotary_BTK: Tensor) -> Tensor:
    """Turn each pair (x[2i], x[2i+1]) by its angle (RoPE, arXiv 2104.09864, equation 34).

    ``rotary_BTK`` holds cosine and sine of each pair's angle side by side, [B, T, K].
    """
    x0, x1 = x_BTXK.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = rotary_BTK.to(x_BTXK.dtype).unsqueeze(2).unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((x0 * cosine - x1 * sine, x0 * sine + x1 * cosine), dim=-1).flatten(-2)


def apply_rotary(
    heads_BTHK: Tensor, gain_X: Tensor | None, rotary_BTK: Tensor, rotated: int
) -> Tensor:
    """The first ``rotated`` heads (queries and keys) rotated, the others (values) as they are.

    With ``gain_X`` each rotated head is first normalized to mean square 1 and multiplied by its
    gain (query-key norm, arXiv 2010.04245).
    """
    if by_hand(heads_BTHK):
        return _ApplyRotary.apply(heads_BTHK, gain_X, rotary_BTK, rotated)
    x_BTXK, v_BTGK = heads_BTHK.split((rotated, heads_BTHK.shape[2] - rotated), dim=2)
    if gain_X is not None:
        x_BTXK = F.rms_norm(x_BTXK, (x_BTXK.shape[-1],), eps=EPSILON)
        x_BTXK = x_BTXK * gain_X.to(x_BTXK.dtype).unsqueeze(-1)
    return torch.cat((rotate(x_BTXK, rotary_BTK), v_BTGK), dim=2)


def take_rows(x_MD: Tensor, row_R: Tensor) -> Tensor:
    """x[row]; each row at most once, so that the gradient is placed and never added up."""
    return _TakeRows.apply(x_MD, row_R)


def put_rows(x_RD: Tensor, row_R: Tensor, num_rows: int) -> Tensor:
    """The rows of a tensor of ``num_rows``, each of ``row_R`` once; the others are 0."""
    return x_RD.new_zeros(num_rows, *x_RD.shape[1:]).index_copy(0, row_R, x_RD)


def spread_rows(row_R: Tensor, owner_M: Tensor, *tensors_MD: Tensor) -> tuple[Tensor, ...]:
    """x[row] of each x, where only the copy ``owner`` of a row has a gradient that is not zero."""
    return _SpreadRows.apply(row_R, owner_M, *tensors_MD)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, gain_D: Tensor) -> Tensor:
        scale_M = inverse_rms(x_MD)
        ctx.save_for_backward(x_MD, gain_D, scale_M)
        return (x_MD * scale_M).mul_(gain_D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, Tensor]:
        x_MD, gain_D, scale_M = ctx.saved_tensors
        width = x_MD.shape[-1]
        # The fused backward of layer norm, told that the mean is zero, is the backward of RMSNorm
        # but for the gradient through the mean, mean(grad · gain) · scale, which is put back.
        grad_x, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad_MD, x_MD, [width], torch.zeros_like(scale_M), scale_M, gain_D, None,
            [True, False, False],
        )  # fmt: skip
        # A product of matrix and vector has other last digits where threads cut the rows elsewhere.
        mean_M = torch.linalg.vecdot(grad_MD, gain_D).div_(width).unsqueeze_(-1)
        # The kernel's own gradient of the gain adds up a part for each thread: other threads, other
        # last digits. A sum over the first dimension splits the columns and adds in one order.
        grad_gain = (grad_MD * x_MD).mul_(scale_M).flatten(0, -2).sum(0)
        return grad_x.add_(mean_M.mul_(scale_M)), grad_gain


class _ApplyRotary(torch.autograd.Function):
    """A turn keeps a head's length, so norm and turn commute: one complex product does the turn,
    one real product norm and gain, and neither direction copies heads together."""

    @staticmethod
    def forward(
        ctx: Any, heads_BTHK: Tensor, gain_X: Tensor | None, rotary_BTK: Tensor, rotated: int
    ) -> Tensor:
        y_BTHK = torch.empty(heads_BTHK.shape)
        y_BTHK[:, :, rotated:] = heads_BTHK[:, :, rotated:]
        x_BTXK, y_BTXK = heads_BTHK[:, :, :rotated], y_BTHK[:, :, :rotated]
        torch.mul(as_complex(x_BTXK), as_complex(rotary_BTK.unsqueeze(2)), out=as_complex(y_BTXK))
        scale_BTX1 = None
        if gain_X is not None:
            scale_BTX1 = inverse_rms(x_BTXK)
            y_BTXK.mul_(scale_BTX1 * gain_X.unsqueeze(-1))
        ctx.save_for_backward(heads_BTHK, gain_X, rotary_BTK, scale_BTX1)
        ctx.rotated = rotated
        return y_BTHK

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y_BTHK: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        heads_BTHK, gain_X, rotary_BTK, scale_BTX1 = ctx.saved_tensors
        rotated = ctx.rotated
        grad_BTHK = torch.empty(heads_BTHK.shape)
        grad_BTHK[:, :, rotated:] = grad_y_BTHK[:, :, rotated:]
        x_BTXK, grad_BTXK = heads_BTHK[:, :, :rotated], grad_BTHK[:, :, :rotated]
        back = as_complex(rotary_BTK.unsqueeze(2)).conj().resolve_conj()
        torch.mul(as_complex(grad_y_BTHK[:, :, :rotated]), back, out=as_complex(grad_BTXK))
        if gain_X is None:
            return grad_BTHK, None, None, None
        # With n = x / sqrt(mean x² + ε) and g the gradient rotated back:
        # ∂x = gain · scale · (g - n · mean(g · n)) and ∂gain = Σ g · n.
        n_BTXK = x_BTXK * scale_BTX1
        along_BTX1 = torch.linalg.vecdot(grad_BTXK, n_BTXK).unsqueeze(-1)
        grad_gain_X = along_BTX1.sum(dim=(0, 1, 3))
        along_BTX1.div_(x_BTXK.shape[-1])
        grad_BTXK.addcmul_(n_BTXK, along_BTX1, value=-1)
        grad_BTXK.mul_(scale_BTX1 * gain_X.unsqueeze(-1))
        return grad_BTHK, grad_gain_X, None, None


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, row_R: Tensor) -> Tensor:
        ctx.save_for_backward(row_R)
        ctx.num_rows = len(x_MD)
        return x_MD.index_select(0, row_R)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None]:
        (row_R,) = ctx.saved_tensors
        grad_MD = grad_RD.new_zeros(ctx.num_rows, grad_RD.shape[1])
        return grad_MD.index_copy_(0, row_R, grad_RD), None


class _SpreadRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, row_R: Tensor, owner_M: Tensor, *tensors_MD: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(owner_M)
        return tuple(x_MD.index_select(0, row_R) for x_MD in tensors_MD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_RD: Tensor) -> tuple[Tensor | None, ...]:
        (owner_M,) = ctx.saved_tensors
        return None, None, *(grad_RD.index_select(0, owner_M) for grad_RD in grads_RD)


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
