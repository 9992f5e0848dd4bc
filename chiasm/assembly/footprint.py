"""What one rank of a training needs, from a step on tensors without memory: no device, no data.

Model, shards, losses, clipping and optimizer are those of a run; tensors have shapes alone (torch's
FakeTensorMode), and the other ranks are not there. Operations take the way of a CUDA device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from chiasm.assembly.full_rows import full_batch
from chiasm.assembly.ledger import Place, Traffic
from chiasm.assembly.planned import PlannedRanks, not_there
from chiasm.assembly.planned_step import PlannedStep, Rows, bytes_of, largest_block
from chiasm.assembly.vision import context_of
from chiasm.batch.slots import changed
from chiasm.batch.streams import IMAGE, Streams
from chiasm.data.encoding import refuse_short_rows
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import matmul_dtype, planned_for
from chiasm.errors import settings_of
from chiasm.loop.groups import freeze
from chiasm.model.decoder import Decoder
from chiasm.model.work import Parameters, Work
from chiasm.recipe import Recipe
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.losses import Counts
from chiasm.training.parallel import parallelize, refuse_misfit
from chiasm.training.settings import ParallelSettings

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
    _refuse(recipe, ranks)
    streams = _streams(recipe)
    refuse_short_rows(recipe.stream.sequence_length, streams)
    stream = recipe.stream
    rows, length = stream.batch_size // ranks, stream.sequence_length
    read = full_batch(streams, rows, length, stream.condition_dropout, recipe.seed)
    here = PlannedRanks(ranks, of_a_machine)
    batches = recipe.training.gradient_accumulation_steps
    read = changed(read, lambda own: own)  # with the lists that the host makes of it
    counted = Rows(read, Work.useful(read), Counts.of([read] * batches).over(here)[0])
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
            step = PlannedStep(recipe, here, decoder, placement, counted)
            step.take()
    return _found(step, parallel)


def _refuse(recipe: Recipe, ranks: int) -> None:
    for name in ("lanes", "batch_size"):
        if getattr(recipe.stream, name) % ranks:
            why = f"cannot be shared by {ranks} ranks"
            raise recipe.error(f"stream.{name}", why, "give a multiple of them")
    if recipe.training.precision == "float32" and recipe.model.experts != "dense":
        why = "is not rehearsed with several experts: torch plans their products in bfloat16 alone"
        raise recipe.error("training.precision", why, "set it to bfloat16 or auto")


def _decoder(recipe: Recipe, streams: Streams) -> Decoder:
    """The decoder as the trainer sets it, not yet split."""
    vocabulary, training = _vocabulary(recipe, streams), recipe.training
    decoder = Decoder(recipe.model, vocabulary=vocabulary, streams=streams, seed=recipe.seed)
    with settings_of("training"):
        freeze(decoder, training.frozen)
    decoder.compute_dtype = matmul_dtype(torch.device("cuda"), training.precision)
    decoder.activation_checkpointing = training.activation_checkpointing
    return decoder


def _found(step: PlannedStep, parallel: ParallelSettings) -> Footprint:
    """What a step that was taken needed."""
    ledger, batches = step.ledger, step.recipe.training.gradient_accumulation_steps
    assert isinstance(parallel.shard_ranks, int)
    return Footprint(
        ranks=step.ranks.size,
        shard_ranks=parallel.shard_ranks,
        expert_ranks=parallel.expert_ranks,
        rows=step.read.num_rows,
        positions=step.read.num_positions,
        batches=batches,
        parameters=step.decoder.count_parameters(),
        memory=Memory(
            parameters=bytes_of(step.held_parameters),
            gradients=step.gradients,
            optimizer=bytes_of(step.held_state),
            average=bytes_of(step.held_average),
            activations=step.activations,
            gathered_root=step.gathered_root,
            gathered_block=largest_block(step.decoder),
            peak=ledger.peak_bytes,
        ),
        peak_phase=ledger.peak_phase,
        traffic=ledger.traffic,
        flops=batches * step.flops,
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
            training = recipe.vision_training
            if name == IMAGE and training is not None and training.kind == settings.kind:
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
