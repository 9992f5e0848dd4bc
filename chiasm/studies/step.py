"""The content of one training step of a recipe, counted on the recipe's own stream.

A step's FLOPs depend on what it reads (:mod:`chiasm.model.work`), and that depends on the stream
alone: models of every shape read the same rows. So the rows are packed once, and each model's
modules count what those rows cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import add
from pathlib import Path

import torch

from chiasm.assembly import build_inputs, build_stream, check_feasible, open_material
from chiasm.assembly.inputs import Inputs
from chiasm.batch.packed import PackedBatch
from chiasm.batch.streams import TEXT, Streams
from chiasm.data.preparation import Stage, silent
from chiasm.documents import Source
from chiasm.model.work import Work
from chiasm.recipe import Recipe

COUNTED_ROWS = 1024
"""Rows of the stream that are packed and averaged; runs that read fewer are counted whole."""


@dataclass(frozen=True)
class Step:
    """Counts over some batches of a recipe's stream, with its vocabulary size and streams."""

    work: Work
    """Sum over ``batches`` batches, as are the positions."""
    batches: int
    gradient_accumulation_steps: int
    vocabulary: int
    streams: Streams
    modality_positions: Mapping[str, int]
    """Positions of each modality; marks around items are text."""
    source_positions: Mapping[str, int]
    """Positions of each source."""

    @property
    def positions(self) -> int:
        """Positions that are not padding."""
        return sum(self.modality_positions.values())

    @property
    def tokens(self) -> float:
        """Mean number of positions of one training step."""
        return self.positions * self.share(1)

    def share(self, steps: int) -> float:
        """Returns what ``steps`` training steps read, in units of the counted batches."""
        return steps * self.gradient_accumulation_steps / self.batches


def counted_batches(recipe: Recipe) -> int:
    """Returns the number of batches that hold :data:`COUNTED_ROWS` rows."""
    return math.ceil(COUNTED_ROWS / recipe.stream.batch_size)


def batches_of_run(recipe: Recipe) -> int:
    """Returns the number of batches that are counted for a run of the recipe's steps."""
    training = recipe.training
    return min(counted_batches(recipe), training.steps * training.gradient_accumulation_steps)


def count_step(recipe: Recipe, sources: Mapping[str, Source], inputs: Inputs, batches: int) -> Step:
    """Returns the counts of the first batches of a recipe's stream.

    Args:
        recipe: of the stream, with its seed.
        sources: the opened sources.
        inputs: the tokenizers.
        batches: how many are packed.
    """
    stream = build_stream(recipe, sources, inputs, recipe.seed)
    streams = inputs.tokenizers.streams
    numbers = 1 + len(streams.modalities)
    works, positions, own = [], torch.zeros(numbers, dtype=torch.long), torch.zeros(0)
    names: tuple[str, ...] = ()
    try:
        for batch in islice(stream, batches):
            works.append(Work.useful(batch))
            positions += torch.bincount(batch.modality_BT.flatten(), minlength=numbers)
            names, counted = batch.source_names, _of_sources(batch)
            own = counted if len(works) == 1 else own + counted
    finally:
        stream.close()
    return Step(
        work=reduce(add, works),
        batches=len(works),
        gradient_accumulation_steps=recipe.training.gradient_accumulation_steps,
        vocabulary=inputs.text_tokenizer.vocabulary_size,
        streams=streams,
        modality_positions=dict(zip(streams.modalities, positions[TEXT:].tolist(), strict=True)),
        source_positions=dict(zip(names, own.tolist(), strict=True)),
    )


def count_recipe_step(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> Step:
    """Returns the counts of a step, after opening a recipe's data and making its tokenizers.

    Raises:
        UserError: data that cannot be opened, or tokenizers that do not fit.
    """
    check_feasible(recipe, cache_folder, on_stage)
    material = open_material(recipe, cache_folder, on_stage)
    inputs = build_inputs(recipe, material.train, cache_folder, on_stage)
    return count_step(recipe, material.train, inputs, counted_batches(recipe))


def _of_sources(batch: PackedBatch) -> torch.Tensor:
    numbers = batch.source_BT[batch.source_BT >= 0]
    return torch.bincount(numbers.long(), minlength=len(batch.source_names))
