"""Losses of a packed batch as sums and counts: add them over batches and ranks, then divide.

Shape suffixes: S sources, 10 noise bins; Q blocks with a router, X modalities, E routed experts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.ranks import Ranks

NOISE_BINS = 10
"""The flow loss is also summed in this many equal bins of flow time."""


@dataclass(frozen=True)
class Counts:
    """What sums of losses are divided by."""

    text: Tensor | int
    """Positions that predict a token."""
    flow: Mapping[str, Tensor | int]
    """Latent tokens of targets of each stream."""
    positions: Tensor | int
    """Positions that are not padding."""

    @classmethod
    def of(cls, batches: Sequence[PackedBatch]) -> Counts:
        """Over all batches of a step."""
        return cls(
            sum(batch.num_text_targets for batch in batches),
            {
                name: sum(batch.slots[name].num_targets for batch in batches)
                for name in batches[0].streams.generated
            },
            sum(batch.num_filled for batch in batches),
        )

    def over(self, ranks: Ranks, beside: int = 0) -> tuple[Counts, int]:
        """Those of all ranks, of whole numbers, and the sum of a number beside them."""
        own = [int(count) for count in (self.text, self.positions, *self.flow.values())]
        text, positions, *flow, beside = ranks.sums([*own, beside])
        return Counts(text, dict(zip(self.flow, flow, strict=True)), positions), beside

    @classmethod
    def of_models(cls, counts: Sequence[Counts]) -> Counts:
        """Those of several models, which become a first dimension."""
        return cls(
            torch.tensor([own.text for own in counts]),
            {name: torch.tensor([own.flow[name] for own in counts]) for name in counts[0].flow},
            torch.tensor([own.positions for own in counts]),
        )


@dataclass(frozen=True)
class Sums:
    """One loss over the targets of a batch, on its device."""

    sum: Tensor
    """Over all targets; carries gradients."""
    sum_S: Tensor
    """By source, float64; detached like everything below."""
    count_S: Tensor
    sum_bins: Tensor
    """By flow time, in NOISE_BINS equal bins from noise to data, and shortcuts, where there are
    any; empty for text."""
    count_bins: Tensor

    @classmethod
    def of(
        cls,
        loss: Tensor,
        source: Tensor,
        num_sources: int,
        time: Tensor | None = None,
        step: Tensor | None = None,
    ) -> Sums:
        """Sums a loss [targets] by its sources and flow times [targets]; where sizes of steps are
        told, those that have one are in a last bin of their own."""
        by_source = _sums(loss, source, num_sources)
        if time is None:
            return cls(loss.sum(), *by_source, *_sums(loss[:0], source[:0], 0))
        bins, number = _bins(time), NOISE_BINS
        if step is not None:
            bins, number = torch.where(step > 0, number, bins), number + 1
        return cls(loss.sum(), *by_source, *_sums(loss, bins, number))

    @classmethod
    def of_models(
        cls,
        loss: Tensor,
        counts: Sequence[int],
        source: Tensor,
        num_sources: int,
        time: Tensor | None = None,
    ) -> Sums:
        """Those of each model along a first dimension; each has ``counts`` of the targets."""
        model = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))

        def by(group: Tensor, number: int) -> Iterator[Tensor]:
            group = number * model[: len(group)] + group
            both = _sums(loss[: len(group)], group, number * len(counts))
            return (own.view(len(counts), number) for own in both)

        total = torch.stack([own.sum() for own in loss.split(list(counts))])
        bins = (source[:0], 0) if time is None else (_bins(time), NOISE_BINS)
        return cls(total, *by(source, num_sources), *by(*bins))

    @property
    def count(self) -> Tensor:
        """Targets."""
        return self.count_S.sum()


@dataclass(frozen=True)
class Losses:
    """Sums and counts of one batch, on its device; add them over batches and ranks."""

    text: Sums
    """Cross-entropy in nats, over positions that predict a token."""
    flow: Mapping[str, Sums]
    """Squared error, mean over channels, over latent tokens of targets of each stream."""
    balance_sum: Tensor
    """Balance loss, mean over blocks, times the positions it was taken over; carries gradients."""
    router_z_sum: Tensor
    """The routers' z-loss, likewise."""
    position_count: Tensor
    """Positions that are not padding."""
    load_QXE: Tensor
    """int64: assignments of each modality's positions that each routed expert got."""
    inner: Mapping[str, Sums] = field(default_factory=dict)
    """Loss of the head in the middle, over the latent tokens of ``flow``; empty without one."""

    def __add__(self, other: Losses) -> Losses:
        return _each(torch.add, self, other)

    @property
    def counts(self) -> Counts:
        """Its own counts."""
        flow = {name: own.count for name, own in self.flow.items()}
        return Counts(self.text.count, flow, self.position_count)

    def detach(self) -> Losses:
        """The same numbers without their gradients."""
        return _each(Tensor.detach, self)

    def zeros(self) -> Losses:
        """Those of no batch."""
        return _each(torch.zeros_like, self)

    def over(self, ranks: Ranks) -> Losses:
        """The same over all ranks, without their gradients."""
        tensors: list[Tensor] = []

        def collect(own: Tensor) -> Tensor:
            tensors.append(own)
            return own

        _each(collect, self)
        if ranks.size == 1:
            return self
        # Of one type, so that they travel together.
        summed = iter(ranks.all_sum(*(own.double() for own in tensors)))
        return _each(lambda own: next(summed).to(own.dtype), self)

    def unbind(self, number: int) -> list[Losses]:
        """Those of each of so many models, which lie along the first dimension."""
        return [_each(operator.itemgetter(own), self) for own in range(number)]


def _each(change: Callable[..., Tensor], first: Any, *others: Any) -> Any:
    """Change each tensor of losses, together with those that stand in its place in others."""
    if isinstance(first, Tensor):
        return change(first, *others)
    if isinstance(first, Mapping):
        return {name: _each(change, own, *(o[name] for o in others)) for name, own in first.items()}
    names = [each.name for each in fields(first)]
    own = (_each(change, *(getattr(part, name) for part in (first, *others))) for name in names)
    return type(first)(*own)


def _bins(time: Tensor) -> Tensor:
    return (time * NOISE_BINS).long().clamp(0, NOISE_BINS - 1)


def _sums(loss: Tensor, group: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Sum (float64) and count (int64) of detached losses by group."""
    zero = loss.new_zeros(num_groups, dtype=torch.float64)
    count = torch.zeros(num_groups, dtype=torch.int64, device=loss.device)
    return (
        zero.index_add(0, group, loss.detach().double()),
        count.index_add(0, group, torch.ones_like(group)),
    )
