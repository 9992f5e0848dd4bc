"""Ranks that are not there, and a model that takes the ways of a CUDA device that is not there.

Shape suffixes: B rows, T positions, H query heads, G key-value heads, K head width; N ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from chiasm.model.cache import KeyValueCache
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.passes import Fixed, Hidden
from chiasm.model.routing import Routing
from chiasm.ranks import SeveralRanks


class PlannedRanks(SeveralRanks):
    """Rank 0 of several; what it sends comes back as it was."""

    are_there = False

    def __init__(self, size: int, of_a_machine: int) -> None:
        self.rank = self.local_rank = 0
        self.size, self.local_size = size, min(size, of_a_machine)

    def sums(self, numbers: Sequence[int]) -> list[int]:
        """Returns sums where all ranks have what this one has."""
        return [self.size * number for number in numbers]

    def all_sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns the tensors; several ranks send them."""
        return super().all_sum(*tensors) if self.size > 1 else tensors


@contextmanager
def not_there(ranks: int) -> Iterator[None]:
    """Lets this process be rank 0 of a group whose other ranks do not exist: torch's "fake"
    backend returns from each collective at once."""
    if ranks == 1:
        yield
        return
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


class PlannedMask(IntervalMask):
    """As on a CUDA device, but with shapes in place of FlexAttention's kernel, which cannot be
    compiled for tensors without memory."""

    @cached_property
    def attend(self) -> Any:
        """(q [B, T, H, K], k [B, T, G, K], v) → [B, T, H, K]."""
        _ = self.block_mask  # made on the device at every step
        return _PlannedAttention.apply


class _PlannedAttention(torch.autograd.Function):
    """What FlexAttention allocates, and what it keeps for the backward pass."""

    @staticmethod
    def forward(ctx: Any, q_BTHK: Tensor, k_BTGK: Tensor, v_BTGK: Tensor) -> Tensor:
        y_BTHK = q_BTHK.new_empty(*q_BTHK.shape[:3], v_BTGK.shape[-1])
        logsumexp_BTH = q_BTHK.new_empty(q_BTHK.shape[:3], dtype=torch.float32)
        ctx.save_for_backward(q_BTHK, k_BTGK, v_BTGK, y_BTHK, logsumexp_BTH)
        return y_BTHK

    @staticmethod
    def backward(ctx: Any, grad_BTHK: Tensor) -> tuple[Tensor, ...]:
        *inputs, _, logsumexp_BTH = ctx.saved_tensors
        _ = torch.empty_like(logsumexp_BTH)  # sums of output times its gradient
        return tuple(x.new_empty(x.shape) for x in inputs)


def plan_attention(decoder: Decoder) -> None:
    """Lets the decoder's passes read planned masks."""
    forward = decoder.forward_with_routing

    def planned(
        inputs: DecoderInput,
        mask: IntervalMask,
        cache: KeyValueCache | None = None,
        fixed: Fixed | None = None,
        behind: Sequence[int] = (),
    ) -> Hidden:
        own = PlannedMask(mask.first_BT, mask.last_BT, mask.num_keys)
        return forward(inputs, own, cache, fixed, behind)

    decoder.forward_with_routing = planned  # type: ignore[method-assign]


def plan_exchange(decoder: Decoder, positions: int) -> None:
    """Lets the rows of experts in parallel be as many to each rank, since none can be counted.

    ``positions``: of a batch of the rank.
    """
    for mixture in decoder.mixtures():
        if mixture.route != Routing.by_expert:
            told = partial(_even, positions * mixture.choices)
            mixture.route = partial(mixture.route, told=told)


def _even(rows: int, counts_2N: Tensor) -> list[list[int]]:
    """Rows to and from each rank."""
    ranks = len(counts_2N.tolist()[0])  # the host reads them all the same
    each, rest = divmod(rows, ranks)
    return [[each + (rank < rest) for rank in range(ranks)]] * 2
