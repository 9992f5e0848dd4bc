"""A training step on tensors without memory, as a rank takes it.

Shape suffixes: L latent tokens of a stream, C latent channels.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from chiasm.assembly.ledger import Ledger
from chiasm.assembly.planned import PlannedRanks, plan_attention, plan_exchange
from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import changed
from chiasm.errors import settings_of
from chiasm.loop.clipping import clip_grad_norm
from chiasm.loop.groups import build_optimizer
from chiasm.model.decoder import Decoder
from chiasm.model.work import Work
from chiasm.ranks import own_part
from chiasm.recipe import Recipe
from chiasm.training.average import Average
from chiasm.training.losses import Counts, Losses
from chiasm.training.objective import Objective
from chiasm.training.parallel import Placement
from chiasm.training.tally import tally


class Rows(NamedTuple):
    """What a step reads, and what the host counts of it; these are ordinary tensors."""

    read: PackedBatch
    work: Work
    counts: Counts


class PlannedStep:
    """A training step, as :class:`chiasm.training.trainer.Trainer` takes it."""

    def __init__(
        self,
        recipe: Recipe,
        ranks: PlannedRanks,
        decoder: Decoder,
        placement: Placement,
        rows: Rows,
    ) -> None:
        self.recipe, self.ranks, self.decoder = recipe, ranks, decoder
        self.placement, (self.read, self.work, self.counts) = placement, rows
        self.objective = Objective(recipe.objective, ranks)
        self.ledger = Ledger()
        plan_attention(decoder)
        plan_exchange(decoder, self.read.ids_BT.numel())
        training = recipe.training
        with settings_of("training"):
            self.optimizer = build_optimizer(decoder, training)
        decay = training.ema_decay
        self.average = None if decay is None else Average(decoder, decay)
        self.activations = self.gathered_root = self.gradients = self.flops = 0

    def take(self) -> None:
        """Takes the step."""
        ledger, training = self.ledger, self.recipe.training
        ledger.hold([*self.held_parameters, *self.held_state, *self.held_average])
        ledger.hold(map(own_part, self.decoder.buffers()))
        with ledger.open():
            found = [self.backward() for _ in range(training.gradient_accumulation_steps)]
            with ledger.during("backward"):
                self.placement.sum_gradients()
                losses = reduce(operator.add, found).over(self.ranks)
            grads = (own.grad for own in self.decoder.parameters() if own.grad is not None)
            self.gradients = bytes_of(map(own_part, grads))
            with ledger.during("update"):
                self.update(losses)
            with ledger.during("report"):
                names, modalities = self.read.source_names, self.read.streams.modalities
                tally(losses, self.objective, names, modalities)
                self.flops = self.decoder.training_flops(self.work)

    def backward(self) -> Losses:
        """Adds the gradients of one batch; returns its losses without them."""
        ledger = self.ledger
        with ledger.during("input"):
            batch = changed(self.read, self.without_memory)
            latents = {name: _latents(batch, name) for name in batch.slots}
        before = ledger.live_bytes
        with ledger.during("forward"):
            losses = self.objective.losses(
                self.decoder, batch, latents, self.recipe.seed, average=self.average
            )
            total = self.objective.total(losses, self.counts)
        self.gathered_root = bytes_of(_gathered(self.decoder))
        self.activations = ledger.live_bytes - before - self.gathered_root
        with ledger.during("backward"):
            total.backward()
        return losses.detach()

    def without_memory(self, tensor: Tensor) -> Tensor:
        """The same on the device, of which the host knows the numbers."""
        made = torch.empty(tensor.shape, dtype=tensor.dtype)
        if not tensor.is_meta:
            self.ledger.known[made] = tensor
        return made

    def update(self, losses: Losses) -> None:
        """Clips the gradients and moves the weights."""
        training = self.recipe.training
        moving = [own for own in self.decoder.parameters() if own.requires_grad]
        clip_grad_norm(moving, training.max_grad_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(1)
        if training.router_bias_rate:
            self.decoder.update_expert_bias(losses.load_QXE, training.router_bias_rate)
        self.decoder.zero_grad()

    @property
    def held_parameters(self) -> list[Tensor]:
        """The rank's part of the weights."""
        return [own_part(own) for own in self.decoder.parameters()]

    @property
    def held_state(self) -> list[Tensor]:
        """The rank's part of what the optimizer keeps."""
        return [own_part(own) for own in _tensors(self.optimizer.state_dict()["state"])]

    @property
    def held_average(self) -> list[Tensor]:
        """The rank's part of the moving average."""
        weights = () if self.average is None else self.average.weights.values()
        return [own_part(own) for own in weights]


def _latents(batch: PackedBatch, name: str) -> Tensor:
    raw_LC = batch.slots[name].raw_LC
    return torch.empty(0, batch.streams[name].channels) if raw_LC is None else raw_LC


def _gathered(decoder: Decoder) -> list[Tensor]:
    """Weights that lie whole on a rank although they are split, until FSDP2 drops them."""
    parameters = list(decoder.parameters())
    fsdp = any(hasattr(own, "unshard") for own in decoder.modules())
    return [own for own in parameters if fsdp and not hasattr(own, "to_local")]


def largest_block(decoder: Decoder) -> int:
    """Bytes of the largest block's weights as FSDP2 gathers them; 0 where it does not."""
    exact = {mixture.router.weight for mixture in decoder.mixtures()}

    def gathered(parameter: Any) -> int:
        split = getattr(parameter, "device_mesh", None)
        if split is None or split.mesh_dim_names == ("experts",):
            return 0
        numbers = parameter.numel()
        if "experts" in split.mesh_dim_names:
            numbers //= split.size(split.mesh_dim_names.index("experts"))
        return numbers * (4 if parameter in exact else decoder.compute_dtype.itemsize)

    return max(sum(map(gathered, block.parameters())) for block in decoder.blocks)


def _tensors(state: Mapping[int, Mapping[str, object]]) -> list[Tensor]:
    found = (each for own in state.values() for each in own.values())
    return [each for each in found if isinstance(each, Tensor)]


def bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(own.numel() * own.element_size() for own in tensors)
