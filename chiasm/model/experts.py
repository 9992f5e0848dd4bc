"""Capacity: a position is sent to experts by a rule, and all experts run in one grouped product.

The rule ``modality`` sorts once per forward pass, because a position's modality is the same in
every block; the learned rule sorts in each block, through the same :class:`Routing`. Experts that
need no choice stand beside those that are chosen, and take all rows by the first two rules.

Shape suffixes: B rows, T positions, M = B·T, K experts of a position, D width, E experts, F expert
width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.model.elementwise import swiglu
from chiasm.model.exchange import ExchangedRouting
from chiasm.model.router import Router, RouterOutput
from chiasm.model.routing import Routing
from chiasm.model.settings import MoeSettings
from chiasm.ranks import own_part
from chiasm.roles import Role


class Experts(nn.Module):
    """E SwiGLU networks: y = (silu(x W_gate) · x W_up) W_down, each on its own rows."""

    choices = 1
    """Experts that one position uses."""

    roles: ClassVar = {"gate_up": Role.HIDDEN, "down": Role.HIDDEN}
    writes_residual: ClassVar = ("down",)

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(num_experts, 2 * hidden_width, width))
        self.down = nn.Parameter(torch.empty(num_experts, width, hidden_width))
        self.row_parts = {"gate_up": (hidden_width, hidden_width)}

    def forward(self, x_BTD: Tensor, routing: Routing | ExchangedRouting | None) -> Tensor:
        """[B, T, D] → [B, T, D]; ``routing`` None sends every position to the only expert."""
        gate_up, down = (own_part(own).to(x_BTD.dtype) for own in (self.gate_up, self.down))
        if routing is None:
            return F.linear(swiglu(F.linear(x_BTD, gate_up[0])), down[0])
        x_sorted = routing.dispatch(x_BTD.flatten(0, 1))
        h_sorted = swiglu(routing.products(x_sorted, gate_up))
        if routing.weight_A1 is not None:  # the hidden width is the narrowest place for it
            h_sorted = h_sorted * routing.weight_A1.to(h_sorted.dtype)
        y_sorted = routing.products(h_sorted, down)
        return routing.combine(y_sorted).view_as(x_BTD)

    def own(self, by_modality: Routing | None) -> Routing | None:
        """The routing of experts that are one of each modality, or a single one."""
        return None if len(self.gate_up) == 1 else by_modality

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * self.choices * self._numbers

    def inactive_parameters(self) -> int:
        """Numbers that one position does not use."""
        return (len(self.gate_up) - self.choices) * self._numbers

    @property
    def _numbers(self) -> int:
        """Of one expert; a part of a weight that is split over ranks would be gathered for it."""
        return (self.gate_up.numel() + self.down.numel()) // len(self.gate_up)


class MixtureOfExperts(Experts):
    """Experts that a router chooses, and beside them those that need no choice."""

    def __init__(
        self, settings: MoeSettings, width: int, active_width: int, num_modalities: int
    ) -> None:
        num_routed = settings.num_routed(num_modalities)
        hidden_width = active_width // settings.granularity
        super().__init__(num_routed, width, hidden_width)
        self.settings, self.choices, self.num_routed = settings, settings.routed_choices, num_routed
        self.router = Router(settings, width, num_routed)
        self.shared = None
        if num_shared := settings.num_experts - num_routed:
            self.shared = Experts(num_shared, width, hidden_width)
        self.route: Callable[..., Routing | ExchangedRouting] = Routing.by_expert
        """Sorts positions by their experts; where these lie on several ranks, by an exchange."""

    def choose(self, x_BTD: Tensor) -> tuple[Routing | ExchangedRouting, RouterOutput]:
        """The routing of positions [B, T, D], and what the router chose."""
        choice = self.router(x_BTD.flatten(0, 1))
        return self.route(choice.expert_MK, self.num_routed, choice.weight_MK), choice

    def transform(self, x_BTD: Tensor, by_modality: Routing | None) -> tuple[Tensor, RouterOutput]:
        """[B, T, D] → [B, T, D], all experts together, and what the router chose."""
        routing, choice = self.choose(x_BTD)
        y_BTD = self(x_BTD, routing)
        if self.shared is not None:
            y_BTD = y_BTD + self.shared(x_BTD, self.shared.own(by_modality))
        return y_BTD, choice

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows, with the router and what needs no choice."""
        shared = 0 if self.shared is None else self.shared.flops(rows)
        return super().flops(rows) + self.router.flops(rows) + shared
