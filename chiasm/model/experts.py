"""Capacity: a position is sent to an expert by a rule, and all experts run in one product.

Positions are sorted by expert, so each expert owns a contiguous run of rows; one grouped matrix
product per weight serves them all, and the rows are gathered back. A permutation's gradient is
the inverse permutation, so neither direction adds into shared memory: no atomics, no order of
additions that could differ between runs.

The rule ``modality`` sorts once per forward pass, because a position's modality is the same in
every block; a learned rule sorts in each block, through the same :class:`Routing`.

Shape suffixes: B rows, T positions, M = B·T, D width, E experts, F expert width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.data.batch import Modality
from chiasm.model.elementwise import swiglu


@dataclass(frozen=True)
class Routing:
    """Which rows each expert gets."""

    order_M: Tensor
    """int64: the positions, sorted by expert and stable inside each."""
    inverse_M: Tensor
    """int64: where each position went."""
    ends_E: Tensor
    """int32: where each expert's run of sorted rows ends."""

    @classmethod
    def by_expert(cls, expert_M: Tensor, num_experts: int) -> Routing:
        """Sort positions by the expert [M] that each is sent to; nothing waits for the device."""
        order_M = expert_M.argsort(stable=True)
        inverse_M = torch.empty_like(order_M)
        inverse_M[order_M] = torch.arange(len(order_M), device=order_M.device)
        expert_E = torch.arange(num_experts, device=expert_M.device)
        ends_E = torch.searchsorted(expert_M[order_M], expert_E, right=True)
        return cls(order_M, inverse_M, ends_E.int())

    @classmethod
    def by_modality(cls, modality_BT: Tensor) -> Routing:
        """Text (and padding, whose outputs nobody reads) to expert 0, vision to expert 1."""
        return cls.by_expert((modality_BT.flatten() == Modality.VISION).long(), num_experts=2)

    def dispatch(self, x_MD: Tensor) -> Tensor:
        """Rows in position order → rows sorted by expert."""
        return _Permute.apply(x_MD, self.order_M, self.inverse_M)

    def combine(self, y_MD: Tensor) -> Tensor:
        """Rows sorted by expert → rows in position order."""
        return _Permute.apply(y_MD, self.inverse_M, self.order_M)


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_M)
        return x_MD.index_select(0, order_M)

    @staticmethod
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, None, None]:
        (inverse_M,) = ctx.saved_tensors
        return grad_MD.index_select(0, inverse_M), None, None


class Experts(nn.Module):
    """E SwiGLU networks: y = (silu(x W_gate) · x W_up) W_down, each on its own rows."""

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(num_experts, 2 * hidden_width, width))
        self.down = nn.Parameter(torch.empty(num_experts, width, hidden_width))

    def forward(self, x_BTD: Tensor, routing: Routing | None) -> Tensor:
        """[B, T, D] → [B, T, D]; ``routing`` None sends every position to the only expert."""
        gate_up, down = self.gate_up.to(x_BTD.dtype), self.down.to(x_BTD.dtype)
        if routing is None:
            return F.linear(swiglu(F.linear(x_BTD, gate_up[0])), down[0])
        x_sorted = routing.dispatch(x_BTD.flatten(0, 1))
        h_sorted = F.grouped_mm(x_sorted, gate_up.transpose(1, 2), offs=routing.ends_E)
        y_sorted = F.grouped_mm(swiglu(h_sorted), down.transpose(1, 2), offs=routing.ends_E)
        return routing.combine(y_sorted).view_as(x_BTD)

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows, each through one expert."""
        return 2 * rows * (self.gate_up[0].numel() + self.down[0].numel())

    def idle_parameters(self) -> int:
        """Numbers that one position does not use."""
        return self.gate_up[1:].numel() + self.down[1:].numel()
