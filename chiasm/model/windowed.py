"""Grouped-query attention by windows as one autograd function, for float32 on a CPU.

From the product of queries, keys and values to what the output product reads: heads are turned and
normalized into a layout with the head outermost, one gather brings their rows to the windows, where
every window and head is one of a batch of small products, and one gather brings the outputs back.
The softmax's weights stay for the gradient, where a kernel for long rows would compute them anew.

Shape suffixes: M positions, H query heads, G key-value heads, X = H + G heads that are turned, A =
H + 2·G heads of the joint product, K head width; N windows of one size, S positions of a window, W
positions of all windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from chiasm.model.elementwise import as_complex, inverse_rms
from chiasm.model.windows import Windows

LARGEST = 256
"""Positions of the largest window whose weights are kept; longer ones go to a kernel that keeps
none."""

NARROW = 16
"""Products that give less columns than this are computed transposed, which is 3 times as fast."""


@dataclass(frozen=True)
class HeadRows:
    """Where the rows of heads lie in windows: of queries, then keys, then values; inside each by
    size, window, head and place."""

    gather: Tensor
    """int64 [A·W]: which row of the heads, [A·M, K], each holds."""
    output_MH: Tensor
    """int64, flattened: where the output of a position's query head is found."""
    gradient_AM: Tensor
    """int64, flattened: where the gradient of a position's head is found."""
    masks: tuple[Tensor, ...]
    """float32 [N·G, H/G·S, S] for each size: 0 where a key is seen, -inf where not."""
    heads: int
    """H."""
    groups: int
    """G."""

    @classmethod
    def of(cls, windows: Windows, heads: int, groups: int) -> HeadRows:
        """Of H query heads that share G key-value heads."""
        places = [interval.shape[1:] for interval in windows.intervals]
        size_W = torch.cat([torch.full((n * size,), size) for n, size in places])
        inside_W = torch.cat([torch.arange(size).repeat(n) for n, size in places])
        before_W = torch.arange(len(size_W)) - inside_W

        def rows(heads: int) -> Tensor:
            return heads * before_W + torch.arange(heads).unsqueeze(1) * size_W + inside_W

        begin_k, begin_v = heads * len(size_W), (heads + groups) * len(size_W)
        row_AW = torch.cat((rows(heads), begin_k + rows(groups), begin_v + rows(groups)))
        num_positions = len(windows.owner_M)
        begin_A1 = torch.arange(len(row_AW)).unsqueeze(1) * num_positions
        gather = torch.empty(row_AW.numel(), dtype=torch.int64)
        gather[row_AW.flatten()] = (begin_A1 + windows.position_W).flatten()
        row_AM = row_AW[:, windows.owner_M]
        masks = []
        for interval, (number, size) in zip(windows.intervals, places, strict=True):
            of_heads = interval.unsqueeze(2).expand(-1, -1, heads, -1)
            # Positions of a neighbour, whose outputs are not read, may see beyond the window.
            first, last = of_heads.reshape(2, number * groups, -1).clamp(0, size - 1)
            before, after = _hidden(size)
            masks.append((before[first] + after[last]).view(number * groups, -1, size))
        return cls(
            gather, row_AM[:heads].T.flatten(), row_AM.flatten(), tuple(masks), heads, groups
        )

    def split(self, rows: Tensor) -> Iterator[list[Tensor]]:
        """Rows [A·W, K] → q [N·G, H/G·S, K], k and v [N·G, S, K] of each size; views."""
        shapes = [mask.shape for mask in self.masks]
        queries = [batch * num_queries for batch, num_queries, _ in shapes]
        keys = [batch * num_keys for batch, _, num_keys in shapes]
        parts, number = rows.split(queries + keys + keys), len(shapes)
        for size, (batch, _, _) in enumerate(shapes):
            own = (parts[size], parts[number + size], parts[2 * number + size])
            yield [part.view(batch, -1, rows.shape[1]) for part in own]


def attend_windowed(
    heads_MAK: Tensor, gain_XM: Tensor | None, turn_MK: Tensor, rows: HeadRows
) -> Tensor:
    """Outputs [M, H·K] of heads that :func:`~chiasm.model.elementwise.apply_rotary` would turn;
    gains [X, 1], or of each position."""
    return _AttendWindowed.apply(heads_MAK, gain_XM, turn_MK, rows)


@cache
def _hidden(size: int) -> tuple[Tensor, Tensor]:
    """[S, S] both: row s is -inf at the places before s, or at those after s, and 0 elsewhere."""
    hidden = torch.full((size, size), float("-inf"))
    return hidden.tril(-1), hidden.triu(1)


class _AttendWindowed(torch.autograd.Function):
    """A turn keeps a head's length, so that norm and turn commute: t is what the turn makes of x, n
    what the norm makes of t, and y = n · gain, that of queries over sqrt(K)."""

    @staticmethod
    def forward(
        ctx: Any, heads_MAK: Tensor, gain_XM: Tensor | None, turn_MK: Tensor, rows: HeadRows
    ) -> Tensor:
        x_AMK, turned = heads_MAK.transpose(0, 1), rows.heads + rows.groups
        n_AMK = torch.empty(x_AMK.shape)
        n_XMK = n_AMK[:turned]
        torch.mul(as_complex(x_AMK[:turned]), as_complex(turn_MK), out=as_complex(n_XMK))
        n_AMK[turned:] = x_AMK[turned:]
        factor_AM1 = torch.ones(len(n_AMK), 1 if gain_XM is None else gain_XM.shape[1], 1)
        scale_XM1 = None
        if gain_XM is not None:
            scale_XM1 = inverse_rms(n_XMK)
            n_XMK.mul_(scale_XM1)
            factor_AM1[:turned, :, 0] = gain_XM
        factor_AM1[: rows.heads] *= n_AMK.shape[-1] ** -0.5
        y = (n_AMK * factor_AM1).flatten(0, 1).index_select(0, rows.gather)
        outputs = torch.empty(rows.heads * len(y) // len(n_AMK), y.shape[-1])
        weights, begin = [], 0
        for (q, k, v), mask in zip(rows.split(y), rows.masks, strict=True):
            weights.append(torch.baddbmm(mask, q, k.mT).softmax(-1))
            end = begin + q.shape[0] * q.shape[1]
            _product(weights[-1], v, out=outputs[begin:end].view_as(q))
            begin = end
        ctx.save_for_backward(n_AMK, scale_XM1, factor_AM1, turn_MK, y, *weights)
        ctx.rows = rows
        return outputs.index_select(0, rows.output_MH).view(len(turn_MK), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MHK: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        n_AMK, scale_XM1, factor_AM1, turn_MK, y, *weights = ctx.saved_tensors
        rows, width = ctx.rows, y.shape[-1]
        turned = rows.heads + rows.groups
        grad_outputs = torch.zeros(rows.heads * len(y) // len(n_AMK), width)
        grad_outputs.index_copy_(0, rows.output_MH, grad_MHK.reshape(-1, width))
        grad_y, begin = torch.empty_like(y), 0
        parts = zip(rows.split(y), rows.split(grad_y), weights, strict=True)
        for (q, k, v), (grad_q, grad_k, grad_v), weight in parts:
            end = begin + q.shape[0] * q.shape[1]
            grad = grad_outputs[begin:end].view_as(q)
            begin = end
            _product(weight.mT, grad, out=grad_v)
            grad_score = torch.ops.aten._softmax_backward_data(
                torch.bmm(grad, v.mT), weight, -1, weight.dtype
            )
            _product(grad_score, k, out=grad_q)
            _product(grad_score.mT, q, out=grad_k)
        grad_AMK = grad_y.index_select(0, rows.gradient_AM).view_as(n_AMK)
        grad_XMK, n_XMK = grad_AMK[:turned], n_AMK[:turned]
        grad_gain_XM = None
        if scale_XM1 is not None:
            # ∂t = gain · scale · (∂y - n · mean(∂y · n)) and ∂gain = Σ ∂y · n.
            along_XM = torch.linalg.vecdot(grad_XMK, n_XMK)
            grad_gain_XM = along_XM.sum_to_size(turned, factor_AM1.shape[1]).clone()
            grad_gain_XM[: rows.heads] *= width**-0.5
            grad_XMK.addcmul_(n_XMK, along_XM.unsqueeze(-1), value=-1 / width)
            grad_XMK.mul_(scale_XM1 * factor_AM1[:turned])
        else:
            grad_XMK.mul_(factor_AM1[:turned])
        grad_MAK = torch.empty(len(turn_MK), len(n_AMK), width)
        grad_x_AMK = grad_MAK.transpose(0, 1)
        back = as_complex(turn_MK).conj().resolve_conj()
        torch.mul(as_complex(grad_XMK), back, out=as_complex(grad_x_AMK[:turned]))
        grad_x_AMK[turned:] = grad_AMK[turned:]
        return grad_MAK, grad_gain_XM, None, None


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    if b.shape[-1] < NARROW:
        out.copy_(torch.bmm(b.mT, a.mT).mT)
    else:
        torch.bmm(a, b, out=out)
