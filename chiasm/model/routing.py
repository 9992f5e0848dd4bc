"""Which expert gets which rows: positions sorted by expert, and brought back.

Every position is assigned to K experts. Assignments are sorted by expert, so that each expert owns
a contiguous run of rows, and one grouped matrix product serves all of them. Both directions are
gathers, and so are their gradients: no atomics, no order of additions that could differ between
runs, and nothing waits for the device. No assignment is dropped.

Shape suffixes: B rows, T positions, M = B·T, K experts of a position, A = M·K assignments, D width,
E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.batch.streams import TEXT
from chiasm.device import kind_of
from chiasm.model.elementwise import on_cpu_in_float32, take_rows


@dataclass(frozen=True)
class Routing:
    """Assignment a is choice a % K of position a // K."""

    order_A: Tensor | None
    """int64: the assignments, sorted by expert and stable inside each; None: they lie so."""
    inverse_A: Tensor | None
    """int64: where each assignment went."""
    ends_E: Tensor
    """int32: where each expert's run of sorted rows ends."""
    choices: int
    """K."""
    weight_A1: Tensor | None = None
    """float: weight of each sorted assignment; None: each counts as it is."""
    runs: tuple[int, ...] | None = None
    """How many rows each expert has, where the host knows."""

    @classmethod
    def by_expert(
        cls, expert_MK: Tensor, num_experts: int, weight_MK: Tensor | None = None
    ) -> Routing:
        """Sort positions by the experts [M, K] that each is sent to."""
        expert_A = expert_MK.flatten()
        order_A = expert_A.argsort(stable=True)
        inverse_A = torch.empty_like(order_A)
        inverse_A[order_A] = torch.arange(len(order_A), device=order_A.device)
        expert_E = torch.arange(num_experts, device=expert_A.device)
        ends_E = torch.searchsorted(expert_A[order_A], expert_E, right=True).int()
        weight_A1 = None if weight_MK is None else take_rows(weight_MK.reshape(-1, 1), order_A)
        return cls(order_A, inverse_A, ends_E, expert_MK.shape[1], weight_A1)

    @classmethod
    def by_modality(cls, modality_BT: Tensor, num_modalities: int) -> Routing:
        """Text (and padding, whose outputs nobody reads) to expert 0, the others in their order."""
        return cls.by_expert(own_expert(modality_BT).reshape(-1, 1), num_modalities)

    @classmethod
    def of_runs(cls, ends: Sequence[int], device: torch.device) -> Routing:
        """Of positions that lie sorted by expert, each expert's up to one of ``ends``."""
        ends_E = torch.tensor(ends, dtype=torch.int32, device=device)
        runs = tuple(end - begin for begin, end in pairwise((0, *ends)))
        return cls(None, None, ends_E, choices=1, runs=runs)

    def dispatch(self, x_MD: Tensor) -> Tensor:
        """Rows in position order → one row for each assignment, sorted by expert."""
        return x_MD if self.order_A is None else _Move.apply(x_MD, self, False)

    def products(self, x_AD: Tensor, weight_EFD: Tensor) -> Tensor:
        """Sorted rows times the weight of their expert: [A, D] → [A, F]."""
        if self.runs is not None and torch.compiler.is_compiling() and on_cpu_in_float32(x_AD):
            # There a compiler takes grouped products of bfloat16 alone.
            parts = zip(x_AD.split(self.runs), weight_EFD, strict=True)
            return torch.cat([F.linear(rows, weight) for rows, weight in parts])
        return F.grouped_mm(x_AD, weight_EFD.transpose(1, 2), offs=self.ends_E)

    def combine(self, y_AD: Tensor) -> Tensor:
        """Rows sorted by expert → their sum for each position."""
        return y_AD if self.order_A is None else _Move.apply(y_AD, self, True)


def own_expert(modality: Tensor) -> Tensor:
    """Returns the number of each position's modality among the experts: 0 for text and padding."""
    return (modality - TEXT).clamp_min(0)


class _Move(torch.autograd.Function):
    """Rows to their assignments, or sums of these back: each is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, routing: Routing, combine: bool) -> Tensor:
        ctx.routing, ctx.combine = routing, combine
        return _moved(x, routing, combine)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _moved(grad, ctx.routing, not ctx.combine), None, None


def _moved(x: Tensor, routing: Routing, combine: bool) -> Tensor:
    choices = routing.choices
    assert routing.order_A is not None
    assert routing.inverse_A is not None
    if not combine:
        order_A = routing.order_A
        return x.index_select(0, order_A if choices == 1 else order_A // choices)
    if choices > 1 and kind_of(x) == "cpu":  # gathers and adds in one pass, in the same order
        return F.embedding_bag(routing.inverse_A.view(-1, choices), x, mode="sum")
    y_AD = x.index_select(0, routing.inverse_A)
    return y_AD if choices == 1 else y_AD.view(-1, choices, y_AD.shape[-1]).sum(dim=1)
