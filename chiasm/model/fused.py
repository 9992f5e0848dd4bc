"""The experts' half of a block as one autograd function, for float32 on a CPU; and single products.

x + down(silu(gate) · up) with gate, up = norm(x) W: apart, it is a dozen nodes that each read and
write all positions. Here the gain of the norm goes into the weights, the residual is added by the
product that ends the half, and the sigmoid stays for the gradient.

Shape suffixes: M rows, sorted so that those of one expert follow each other; R runs of them, D
width, F hidden width; E experts, X modalities, each 1 or R.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from chiasm.model.elementwise import inverse_rms

ROWS_AT_ONCE = 256
"""Rows whose hidden vectors stay in a core's cache, where no gradient wants them all."""


def add_experts(
    x_MD: Tensor, gain_XD: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor, ends: Sequence[int]
) -> Tensor:
    """x + expert(norm(x) · gain), run by run of rows, which end at ``ends``."""
    if torch.is_inference_mode_enabled():  # validation keeps the bits of training
        return _added(x_MD, gain_XD, gate_up_EFD, down_EDF, ends)
    return _AddExperts.apply(x_MD, gain_XD, gate_up_EFD, down_EDF, ends)


def normed_product(
    x_MD: Tensor, gain_XD: Tensor, weight_EFD: Tensor, ends: Sequence[int]
) -> Tensor:
    """(norm(x) · gain) Wᵀ, run by run of rows, which end at ``ends``."""
    return _NormedProduct.apply(x_MD, gain_XD, weight_EFD, ends)


def add_product(x_MD: Tensor, y_MF: Tensor, weight_EDF: Tensor, ends: Sequence[int]) -> Tensor:
    """x + y Wᵀ, run by run of rows, which end at ``ends``."""
    return _AddProduct.apply(x_MD, y_MF, weight_EDF, ends)


def _runs(ends: Sequence[int], *weights: Tensor) -> Iterator[Any]:
    """The rows of each run, and its own part of each of the weights, which may be the only one."""
    parts = [weight.unbind() for weight in weights]
    for number, (begin, end) in enumerate(pairwise((0, *ends))):
        yield slice(begin, end), *(own[number % len(own)] for own in parts)


def _added(
    x_MD: Tensor, gain_XD: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor, ends: Sequence[int]
) -> Tensor:
    """The same in inference: nothing is kept, a few rows at a time."""
    out_MD, scale_M1 = torch.empty_like(x_MD), inverse_rms(x_MD)
    for run, gain_D, gate_up_FD, down_DF in _runs(ends, gain_XD, gate_up_EFD, down_EDF):
        for begin in range(run.start, run.stop, ROWS_AT_ONCE):
            rows = slice(begin, min(begin + ROWS_AT_ONCE, run.stop))
            n_MD = (x_MD[rows] * scale_M1[rows]).mul_(gain_D)
            gate_MF, up_MF = F.linear(n_MD, gate_up_FD).chunk(2, dim=-1)
            torch.addmm(x_MD[rows], F.silu(gate_MF).mul_(up_MF), down_DF.T, out=out_MD[rows])
    return out_MD


def _products(x_MD: Tensor, weight_EFD: Tensor, ends: Sequence[int]) -> Tensor:
    """Rows times the transposed weight of their run: [M, F]."""
    y_MF = x_MD.new_empty(len(x_MD), weight_EFD.shape[1])
    for run, weight in _runs(ends, weight_EFD):
        torch.mm(x_MD[run], weight.T, out=y_MF[run])
    return y_MF


def _products_added(x_MD: Tensor, y_MF: Tensor, weight_EDF: Tensor, ends: Sequence[int]) -> Tensor:
    out_MD = torch.empty_like(x_MD)
    for run, weight in _runs(ends, weight_EDF):
        torch.addmm(x_MD[run], y_MF[run], weight.T, out=out_MD[run])
    return out_MD


def _gradients(
    grad_MF: Tensor, x_MD: Tensor, weight_EFD: Tensor, ends: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Of :func:`_products` by the rows, [M, D], and by the weight of each run, [R, F, D]."""
    grad_x_MD = torch.empty_like(x_MD)
    grad_weight_RFD = weight_EFD.new_empty(len(ends), *weight_EFD.shape[1:])
    for run, weight, own in _runs(ends, weight_EFD, grad_weight_RFD):
        torch.mm(grad_MF[run], weight, out=grad_x_MD[run])
        torch.mm(grad_MF[run].T, x_MD[run], out=own)
    return grad_x_MD, grad_weight_RFD


def _normed_gradients(
    grad_MF: Tensor, n_MD: Tensor, gain_XD: Tensor, weight_EFD: Tensor, ends: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the products with the gain in the weights: by x over its scale, by gain and weight."""
    grad_n_MD, grad_RFD = _gradients(grad_MF, n_MD, weight_EFD * gain_XD.unsqueeze(1), ends)
    along_M1 = torch.linalg.vecdot(grad_n_MD, n_MD).unsqueeze_(-1)
    grad_n_MD.addcmul_(n_MD, along_M1, value=-1 / n_MD.shape[-1])
    grad_gain_XD = (grad_RFD * weight_EFD).sum(1).sum_to_size(gain_XD.shape)
    grad_weight_EFD = (grad_RFD * gain_XD.unsqueeze(1)).sum_to_size(weight_EFD.shape)
    return grad_n_MD, grad_gain_XD, grad_weight_EFD


class _AddExperts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_MD: Tensor,
        gain_XD: Tensor,
        gate_up_EFD: Tensor,
        down_EDF: Tensor,
        ends: Sequence[int],
    ) -> Tensor:
        scale_M1 = inverse_rms(x_MD)
        n_MD = x_MD * scale_M1
        h_M2F = _products(n_MD, gate_up_EFD * gain_XD.unsqueeze(1), ends)
        silu_MF, up_MF = h_M2F.chunk(2, dim=-1)
        sigmoid_MF = silu_MF.sigmoid()
        silu_MF.mul_(sigmoid_MF)
        y_MF = silu_MF * up_MF
        ctx.save_for_backward(
            gain_XD, gate_up_EFD, down_EDF, scale_M1, n_MD, h_M2F, sigmoid_MF, y_MF
        )
        ctx.ends = ends
        return _products_added(x_MD, y_MF, down_EDF, ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor | None, ...]:
        gain_XD, gate_up_EFD, down_EDF, scale_M1, n_MD, h_M2F, sigmoid_MF, y_MF = ctx.saved_tensors
        grad_MD = grad_MD.contiguous()
        grad_y_MF, grad_down_RDF = _gradients(grad_MD, y_MF, down_EDF, ctx.ends)
        silu_MF, up_MF = h_M2F.chunk(2, dim=-1)
        grad_h_M2F = torch.empty_like(h_M2F)
        grad_gate_MF, grad_up_MF = grad_h_M2F.chunk(2, dim=-1)
        torch.mul(grad_y_MF, silu_MF, out=grad_up_MF)
        # The gradient of silu(g) · u by g is silu(g) · u + sigmoid(g) · (u - silu(g) · u).
        torch.mul(torch.lerp(y_MF, up_MF, sigmoid_MF), grad_y_MF, out=grad_gate_MF)
        grad_n_MD, *of_weights = _normed_gradients(grad_h_M2F, n_MD, gain_XD, gate_up_EFD, ctx.ends)
        grad_x_MD = torch.addcmul(grad_MD, grad_n_MD, scale_M1)
        return grad_x_MD, *of_weights, grad_down_RDF.sum_to_size(down_EDF.shape), None


class _NormedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_MD: Tensor, gain_XD: Tensor, weight_EFD: Tensor, ends: Sequence[int]
    ) -> Tensor:
        scale_M1 = inverse_rms(x_MD)
        n_MD = x_MD * scale_M1
        ctx.save_for_backward(gain_XD, weight_EFD, scale_M1, n_MD)
        ctx.ends = ends
        return _products(n_MD, weight_EFD * gain_XD.unsqueeze(1), ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MF: Tensor) -> tuple[Tensor | None, ...]:
        gain_XD, weight_EFD, scale_M1, n_MD = ctx.saved_tensors
        grad_n_MD, *of_weights = _normed_gradients(
            grad_MF.contiguous(), n_MD, gain_XD, weight_EFD, ctx.ends
        )
        return grad_n_MD.mul_(scale_M1), *of_weights, None


class _AddProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_MD: Tensor, y_MF: Tensor, weight_EDF: Tensor, ends: Sequence[int]
    ) -> Tensor:
        ctx.save_for_backward(y_MF, weight_EDF)
        ctx.ends = ends
        return _products_added(x_MD, y_MF, weight_EDF, ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor | None, ...]:
        y_MF, weight_EDF = ctx.saved_tensors
        grad_y_MF, grad_RDF = _gradients(grad_MD.contiguous(), y_MF, weight_EDF, ctx.ends)
        return grad_MD, grad_y_MF, grad_RDF.sum_to_size(weight_EDF.shape), None
