"""Experts in parallel: rows travel to the ranks that hold their experts, and back.

An exchanged routing is two ordinary ones with an exchange between. At home a rank sorts its own
assignments by expert, so that those of one rank's experts follow each other; they travel with
their weights; away, the rank that receives them sorts what came by its own experts. Gradients
travel the same roads back.

Shape suffixes: M positions, K experts of a position, A = M·K own assignments, B assignments that
came, D width; N ranks, E experts of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from chiasm.model.routing import Routing

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class ExchangedRouting:
    """As :class:`~chiasm.model.routing.Routing`, where each rank of a group has as many experts."""

    home: Routing
    """Own assignments to the experts of all ranks."""
    away: Routing
    """What came, to the experts of this rank; each row is one assignment."""
    sent: Sequence[int]
    """Own assignments that each rank receives."""
    came: Sequence[int]
    """Assignments that came from each rank."""
    weight_A1: Tensor
    """Weights of what came, sorted by expert."""
    group: ProcessGroup

    @classmethod
    def by_expert(
        cls,
        expert_MK: Tensor,
        num_experts: int,
        weight_MK: Tensor,
        group: ProcessGroup,
        told: Callable[[Tensor], list[list[int]]] = Tensor.tolist,
    ) -> ExchangedRouting:
        """Sort positions by the experts [M, K] that each is sent to, and tell their ranks.

        ``told`` gives the host the rows [2, N] that go to each rank and come from it.
        """
        import torch.distributed as dist

        home = Routing.by_expert(expert_MK, num_experts, weight_MK)
        assert home.weight_A1 is not None
        ranks = group.size()
        count_NE = home.ends_E.diff(prepend=home.ends_E.new_zeros(1)).view(ranks, -1)
        came_NE = torch.empty_like(count_NE)
        dist.all_to_all_single(came_NE, count_NE, group=group)
        sent, came = told(torch.stack((count_NE.sum(dim=1), came_NE.sum(dim=1))))
        own_E = torch.arange(num_experts // ranks, device=expert_MK.device)
        # Told its length, it need not wait for it.
        expert_B = own_E.repeat(ranks).repeat_interleave(came_NE.flatten(), output_size=sum(came))
        away = Routing.by_expert(expert_B.unsqueeze(1), num_experts // ranks)
        weight_B1 = _exchange(home.weight_A1, came, sent, group)
        return cls(home, away, sent, came, away.dispatch(weight_B1), group)

    def dispatch(self, x_MD: Tensor) -> Tensor:
        """Rows in position order → rows that came for the experts of this rank, sorted by these."""
        x_AD = self.home.dispatch(x_MD)
        return self.away.dispatch(_exchange(x_AD, self.came, self.sent, self.group))

    def products(self, x_BD: Tensor, weight_EFD: Tensor) -> Tensor:
        """Sorted rows times the weight of their expert: [B, D] → [B, F]."""
        return self.away.products(x_BD, weight_EFD)

    def combine(self, y_BD: Tensor) -> Tensor:
        """Rows sorted by expert → their sum for each position of the rank that they came from."""
        y_BD = self.away.combine(y_BD)
        return self.home.combine(_exchange(y_BD, self.sent, self.came, self.group))


def _exchange(
    x_AD: Tensor, received: Sequence[int], sent: Sequence[int], group: ProcessGroup
) -> Tensor:
    """Rows, ``sent`` of them to each rank → those that came, ``received`` of them from each."""
    from torch.distributed._functional_collectives import all_to_all_single_autograd

    return all_to_all_single_autograd(x_AD, list(received), list(sent), group)
