"""Cross-entropy of a linear head whose logits may be too many to hold at once.

Shape suffixes: R positions, C positions of a chunk, V vocabulary, D width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from chiasm.device import kind_of

LOGITS_BYTES = 64 * 2**20
"""Most logits, in float32, that exist at once on a CPU; eight times as many on a GPU, whose
products need more rows (by estimate, not measured)."""


def linear_cross_entropy(x_RD: Tensor, weight_VD: Tensor, label_R: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the cross-entropy of labels under the logits x Wᵀ, in nats: its sum over positions,
    which carries gradients, and that of each position, float32 [R], which carries none.

    Products are in the type of x. Where the logits of all positions would take more than
    ``LOGITS_BYTES``, they are made and forgotten chunk by chunk of positions, in the forward pass
    the gradients from them as well: equal within rounding, and the backward pass runs once only.
    """
    chunk = LOGITS_BYTES * (8 if kind_of(x_RD) == "cuda" else 1) // (4 * len(weight_VD))
    exact = torch.promote_types(x_RD.dtype, torch.float32)
    if len(x_RD) <= chunk:
        logits_RV = F.linear(x_RD, weight_VD.to(x_RD.dtype))
        loss_R = F.cross_entropy(logits_RV.to(exact), label_R, reduction="none")
        return loss_R.sum(), loss_R.detach()
    return _Chunked.apply(x_RD, weight_VD, label_R, max(chunk, 1), torch.is_grad_enabled())


class _Chunked(torch.autograd.Function):
    """The gradients are those of the sum, made while the logits are there; the backward pass has
    only to multiply them by its own. To make the logits again would be a fourth product."""

    @staticmethod
    def forward(
        ctx: Any, x_RD: Tensor, weight_VD: Tensor, label_R: Tensor, chunk: int, learns: bool
    ) -> tuple[Tensor, Tensor]:
        cast_VD = weight_VD.to(x_RD.dtype)
        loss_R = torch.empty_like(label_R, dtype=torch.promote_types(x_RD.dtype, torch.float32))
        if learns:
            ctx.gradients = torch.empty_like(x_RD), torch.zeros_like(weight_VD)
        for begin in range(0, len(x_RD), chunk):
            here = slice(begin, begin + chunk)
            x_CD, label_C = x_RD[here], label_R[here]
            logp_CV = (x_CD @ cast_VD.T).log_softmax(-1, dtype=loss_R.dtype)
            loss_R[here] = F.nll_loss(logp_CV, label_C, reduction="none")
            if learns:
                # d loss / d logits = p - 1 at the label, p elsewhere.
                grad_CV = logp_CV.exp_()
                grad_CV.scatter_(1, label_C[:, None], torch.expm1(-loss_R[here])[:, None])
                grad_CV = grad_CV.to(x_RD.dtype)
                grad_RD, grad_VD = ctx.gradients
                torch.mm(grad_CV, cast_VD, out=grad_RD[here])
                if grad_VD.dtype == grad_CV.dtype:
                    grad_VD.addmm_(grad_CV.T, x_CD)
                else:
                    grad_VD += grad_CV.T @ x_CD
        ctx.mark_non_differentiable(loss_R)
        return loss_R.sum(), loss_R

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, Tensor, None, None, None]:
        grad_RD, grad_VD = ctx.gradients
        del ctx.gradients  # held here too, the weight's gradient would be copied
        return grad_RD.mul_(grad), grad_VD.mul_(grad), None, None, None
