"""Capacity: a position is sent to experts by a rule, and all experts run in one grouped product.

The rule ``modality`` sorts once per forward pass, because a position's modality is the same in
every block; the learned rule sorts in each block, through the same :class:`Routing`. A shared
expert is one more assignment with weight 1, so that it runs in the same product.

Shape suffixes: B rows, T positions, M = B·T, K experts of a position, D width, E experts, F expert
width.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.model.elementwise import swiglu
from chiasm.model.router import Router, RouterOutput
from chiasm.model.routing import Routing, own_expert
from chiasm.model.settings import MoeSettings
from chiasm.roles import Role


class Experts(nn.Module):
    """E SwiGLU networks: y = (silu(x W_gate) · x W_up) W_down, each on its own rows."""

    choices = 1
    """Experts that one position uses."""

    roles: ClassVar = {"gate_up": Role.MATRIX, "down": Role.MATRIX}
    writes_residual: ClassVar = ("down",)

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
        h_sorted = swiglu(routing.products(x_sorted, gate_up))
        if routing.weight_A1 is not None:  # the hidden width is the narrowest place for it
            h_sorted = h_sorted * routing.weight_A1.to(h_sorted.dtype)
        y_sorted = routing.products(h_sorted, down)
        return routing.combine(y_sorted).view_as(x_BTD)

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * self.choices * (self.gate_up[0].numel() + self.down[0].numel())

    def inactive_parameters(self) -> int:
        """Numbers that one position does not use."""
        idle = len(self.gate_up) - self.choices
        return idle * (self.gate_up[0].numel() + self.down[0].numel())


class MixtureOfExperts(Experts):
    """Experts that a router chooses, with those that need no choice after them."""

    def __init__(
        self, settings: MoeSettings, width: int, active_width: int, num_modalities: int
    ) -> None:
        super().__init__(settings.num_experts, width, active_width // settings.granularity)
        self.settings, self.choices = settings, settings.choices
        self.num_routed = settings.num_routed(num_modalities)
        self.router = Router(settings, width, self.num_routed)

    def choose(self, x_BTD: Tensor, modality_BT: Tensor) -> tuple[Routing, RouterOutput]:
        """The routing of positions [B, T, D], and what the router chose."""
        choice = self.router(x_BTD.flatten(0, 1))
        expert_MK, weight_MK = choice.expert_MK, choice.weight_MK
        if self.settings.shared_experts != "none":
            own_M1 = torch.full_like(expert_MK[:, :1], self.num_routed)
            if self.settings.shared_experts == "modality":
                own_M1 = own_M1 + own_expert(modality_BT).view(-1, 1)
            expert_MK = torch.cat((expert_MK, own_M1), dim=1)
            weight_MK = torch.cat((weight_MK, torch.ones_like(weight_MK[:, :1])), dim=1)
        return Routing.by_expert(expert_MK, self.settings.num_experts, weight_MK), choice

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows, the router included."""
        return super().flops(rows) + self.router.flops(rows)
