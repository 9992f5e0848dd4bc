"""The tokenizers that turn documents into a model's inputs, trained or measured where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from chiasm.assembly.training_items import TrainingItem, training_items
from chiasm.assembly.vision import open_tokenizers
from chiasm.batch.streams import IMAGE
from chiasm.data.preparation import Stage, silent
from chiasm.data.sources import sample_texts
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device
from chiasm.documents import Source
from chiasm.errors import found_at
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer

TRAINING_CHARACTERS = 2_000_000
"""Number of characters that a text tokenizer is trained on: many times what a vocabulary of some
thousand tokens needs, and a few seconds' work."""


@dataclass(frozen=True)
class Inputs:
    """The tokenizers that turn documents into a model's inputs."""

    text_tokenizer: TextTokenizer
    tokenizers: StreamTokenizers


def build_inputs(
    recipe: Recipe,
    train: Mapping[str, Source],
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
    beginning: Pretrained | None = None,
) -> Inputs:
    """Returns the tokenizers that the recipe names, trained or measured on the training sources.

    A run that begins with a model takes its text tokenizer, and its statistics of latents where
    the recipe's tokenizer has none.

    ``cache_folder`` and ``on_stage`` are those of :func:`~chiasm.assembly.vision.open_tokenizers`.

    Raises:
        UserError: a tokenizer that is not there, or does not fit the recipe.
    """
    settings = recipe.tokenizer
    tokenizers = open_tokenizers(recipe, cache_folder, on_stage)
    marked = [shape.name for shape in tokenizers.streams if IMAGE != shape.name == shape.marks]
    if beginning is not None:
        tokenizers = _measured_before(tokenizers, beginning)
        text_tokenizer = beginning.text_tokenizer.with_streams(marked)
    elif settings.path:
        text_tokenizer = TextTokenizer.load(settings.path, marked)
    else:
        texts = sample_texts(train, TRAINING_CHARACTERS)
        text_tokenizer = TextTokenizer.train(texts, settings.vocabulary_tokens, marked)
    for name, own in tokenizers.items():
        if not own.statistics.count:
            with found_at(f"streams.{name}"):
                items = training_items(recipe, train, text_tokenizer, tokenizers.streams, name)
                _measure(own, items, choose_device(recipe.training.device))
    return Inputs(text_tokenizer, tokenizers)


def _measured_before(tokenizers: StreamTokenizers, beginning: Pretrained) -> StreamTokenizers:
    """The tokenizers, those of the model in place of their like that have not been measured."""
    chosen = {}
    for name, own in tokenizers.items():
        chosen[name] = own
        there = beginning.tokenizers.get(name, own)
        if not own.statistics.count and (there.grid, there.channels) == (own.grid, own.channels):
            chosen[name] = there
    return StreamTokenizers(chosen, {each.name: each.context_of for each in tokenizers.streams})


def _measure(tokenizer: Tokenizer, items: Sequence[TrainingItem], device: torch.device) -> None:
    """Measures latent statistics on the items, where any can be read."""
    readable = (data for item in items if (data := item.read(tokenizer)) is not None)
    first = next(readable, None)
    if first is not None:
        batches = (data[None].to(device) for data in chain([first], readable))
        names = sorted({item.source for item in items})
        tokenizer.to(device).measure(batches, data=", ".join(names))
