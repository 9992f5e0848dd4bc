"""What one rank of a training needs, from a step on tensors without memory: no device, no data.

Model, shards, losses, clipping and optimizer are those of a run; tensors have shapes alone (torch's
FakeTensorMode), and the other ranks are not there. Operations take the way of a CUDA device.

Shape suffixes: L latent tokens of a stream, C latent channels, N its items.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from chiasm.assembly.full_rows import full_batch
from chiasm.assembly.ledger import Ledger, Place, Traffic
from chiasm.assembly.planned import (
    PlannedRanks,
    not_there,
    plan_attention,
    plan_exchange,
)
from chiasm.assembly.vision import context_of
from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import changed
from chiasm.batch.streams import IMAGE, Streams
from chiasm.data.encoding import refuse_short_rows
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import matmul_dtype, planned_for
from chiasm.errors import settings_of
from chiasm.loop.clipping import clip_grad_norm
from chiasm.loop.groups import build_optimizer, freeze
from chiasm.model.decoder import Decoder
from chiasm.model.work import FORWARD_AND_BACKWARD, Parameters, Work
from chiasm.ranks import own_part
from chiasm.recipe import Recipe
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.average import Average
from chiasm.training.losses import Counts, Losses
from chiasm.training.objective import Objective
from chiasm.training.parallel import Placement, parallelize, refuse_misfit
from chiasm.training.settings import ParallelSettings
from chiasm.training.tally import tally

RANKS_OF_A_MACHINE = 8
"""Where nothing else is said."""

HERE = torch.device("cpu")
"""Where tensors without memory lie, whatever device they are planned for."""


class Memory(NamedTuple):
    """Bytes of one rank."""

    parameters: int
    gradients: int
    optimizer: int
    average: int
    """The moving average of weights, where the recipe asks for one."""
    activations: int
    """Kept from a batch's forward pass for its backward pass."""
    gathered_root: int
    """Weights outside the blocks, which stay gathered between forward and backward pass."""
    gathered_block: int
    """Weights of the largest block, while all its shards are here."""
    peak: int
    """Most that is alive at once, with what lives for a moment."""


@dataclass(frozen=True)
class Footprint:
    """What rank 0 needs for a training step."""

    ranks: int
    shard_ranks: int
    expert_ranks: int
    rows: int
    """Of the rank, in each of a step's batches."""
    positions: int
    """Of a row."""
    batches: int
    """Of a step."""
    parameters: Parameters
    memory: Memory
    peak_phase: str
    """In which part of a step the peak is."""
    traffic: Mapping[str, Traffic]
    """Collectives of a step, by kind."""
    flops: int
    """Of a step, by the model's own count: no padding, only pairs that see each other."""
    product_flops: int
    """Of matrix products without attention, as torch counts them: with what is computed again."""
    waits: Mapping[tuple[str, Place], int]
    """How often the host waits for the device, by part of a step and place."""


def footprint(recipe: Recipe, ranks: int = 1, of_a_machine: int = RANKS_OF_A_MACHINE) -> Footprint:
    """Returns what rank 0 of so many needs, ``of_a_machine`` of them on each machine.

    No data is opened, and no tokenizer trained.

    Raises:
        UserError: ranks do not divide what they share, or the step cannot be planned.
    """
    for name in ("lanes", "batch_size"):
        if getattr(recipe.stream, name) % ranks:
            why = f"cannot be shared by {ranks} ranks"
            raise recipe.error(f"stream.{name}", why, "give a multiple of them")
    streams = _streams(recipe)
    refuse_short_rows(recipe.stream.sequence_length, streams)
    stream = recipe.stream
    rows, length = stream.batch_size // ranks, stream.sequence_length
    read = full_batch(streams, rows, length, stream.condition_dropout, recipe.seed)
    here = PlannedRanks(ranks, of_a_machine)
    batches = recipe.training.gradient_accumulation_steps
    read = changed(read, lambda own: own)  # with the lists that the host makes of it
    counted = _Rows(read, Work.useful(read), Counts.of([read] * batches).over(here))
    parallel = recipe.training.parallel
    shards = parallel.shards(here.local_size, "cuda") if ranks > 1 else 1
    parallel = parallel.model_copy(update={"shard_ranks": shards})
    with not_there(ranks), planned_for("cuda"):
        with FakeTensorMode() as without_memory:
            decoder = _decoder(recipe, streams)
        with settings_of("training.parallel"):
            refuse_misfit(decoder, here, parallel)
        # Outside of the mode: tables of ranks are ordinary tensors.
        dtype, seed = decoder.compute_dtype, recipe.seed
        placement = parallelize(decoder, here, parallel, HERE, compute_dtype=dtype, seed=seed)
        with without_memory:
            step = _Step(recipe, here, decoder, placement, counted)
            step.take()
    return step.footprint(parallel)


def _decoder(recipe: Recipe, streams: Streams) -> Decoder:
    """The decoder as the trainer sets it, not yet split."""
    vocabulary, training = _vocabulary(recipe, streams), recipe.training
    decoder = Decoder(recipe.model, vocabulary=vocabulary, streams=streams, seed=recipe.seed)
    with settings_of("training"):
        freeze(decoder, training.frozen)
    decoder.compute_dtype = matmul_dtype(torch.device("cuda"), training.precision)
    decoder.activation_checkpointing = training.activation_checkpointing
    return decoder


class _Rows(NamedTuple):
    """What a step reads, and what the host counts of it; these are ordinary tensors."""

    read: PackedBatch
    work: Work
    counts: Counts


class _Step:
    """A training step, as :class:`chiasm.training.trainer.Trainer` takes it."""

    def __init__(
        self,
        recipe: Recipe,
        ranks: PlannedRanks,
        decoder: Decoder,
        placement: Placement,
        rows: _Rows,
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
        self.activations = self.gathered_root = self.gradients = self.forward_flops = 0

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
            self.gradients = _bytes(map(own_part, grads))
            with ledger.during("update"):
                self.update(losses)
            with ledger.during("report"):
                names, modalities = self.read.source_names, self.read.streams.modalities
                tally(losses, self.objective, names, modalities)
                self.forward_flops = self.decoder.forward_flops(self.work)

    def backward(self) -> Losses:
        """Adds the gradients of one batch; returns its losses without them."""
        ledger = self.ledger
        with ledger.during("input"):
            batch = changed(self.read, self.without_memory)
            latents = {name: _latents(batch, name) for name in batch.slots}
        before = ledger.live_bytes
        with ledger.during("forward"):
            losses = self.objective.losses(self.decoder, batch, latents, self.recipe.seed)
            total = self.objective.total(losses, self.counts)
        self.gathered_root = _bytes(_gathered(self.decoder))
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

    def footprint(self, parallel: ParallelSettings) -> Footprint:
        """Returns what was found."""
        ledger, batches = self.ledger, self.recipe.training.gradient_accumulation_steps
        assert isinstance(parallel.shard_ranks, int)
        return Footprint(
            ranks=self.ranks.size,
            shard_ranks=parallel.shard_ranks,
            expert_ranks=parallel.expert_ranks,
            rows=self.read.num_rows,
            positions=self.read.num_positions,
            batches=batches,
            parameters=self.decoder.count_parameters(),
            memory=Memory(
                parameters=_bytes(self.held_parameters),
                gradients=self.gradients,
                optimizer=_bytes(self.held_state),
                average=_bytes(self.held_average),
                activations=self.activations,
                gathered_root=self.gathered_root,
                gathered_block=_largest_block(self.decoder),
                peak=ledger.peak_bytes,
            ),
            peak_phase=ledger.peak_phase,
            traffic=ledger.traffic,
            flops=FORWARD_AND_BACKWARD * batches * self.forward_flops,
            product_flops=ledger.product_flops,
            waits=dict(ledger.waits),
        )


def _streams(recipe: Recipe) -> Streams:
    """Shapes of the recipe's streams; none is trained for it.

    Raises:
        UserError: a tokenizer is not at hand.
    """
    opened = {}
    for name, settings in recipe.streams.items():
        with settings_of(f"streams.{name}"):
            if name == IMAGE and recipe.vision_training is not None:
                raise settings.error("kind", "is yet to be trained, by vision_training", _REMEDY)
            opened[name] = open_tokenizer(settings)
    return StreamTokenizers(opened, context_of(recipe)).streams


_REMEDY = (
    "give one of the same latents: pictures of image_pixels cut into patch_pixels, as in --set "
    "'streams.image={kind=\"pixels\", image_pixels=256, patch_pixels=16}'"
)


def _vocabulary(recipe: Recipe, streams: Streams) -> int:
    """What the text tokenizer has, or may have where it is yet to be trained."""
    if not recipe.tokenizer.path:
        return recipe.tokenizer.vocabulary_tokens
    marked = [shape.name for shape in streams if IMAGE != shape.name == shape.marks]
    return TextTokenizer.load(recipe.tokenizer.path, marked).vocabulary_size


def _latents(batch: PackedBatch, name: str) -> Tensor:
    raw_LC = batch.slots[name].raw_LC
    return torch.empty(0, batch.streams[name].channels) if raw_LC is None else raw_LC


def _gathered(decoder: Decoder) -> list[Tensor]:
    """Weights that lie whole on a rank although they are split, until FSDP2 drops them."""
    parameters = list(decoder.parameters())
    fsdp = any(hasattr(own, "unshard") for own in decoder.modules())
    return [own for own in parameters if fsdp and not hasattr(own, "to_local")]


def _largest_block(decoder: Decoder) -> int:
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


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(own.numel() * own.element_size() for own in tensors)
