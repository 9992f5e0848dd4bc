"""The tokenizers that turn documents into a model's inputs, trained or measured where needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from chiasm.assembly.vision import open_tokenizers
from chiasm.batch.streams import IMAGE, StreamShape
from chiasm.data.preparation import Stage, silent
from chiasm.data.reading import ReadingLog, defect
from chiasm.data.sources import sample_texts
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device
from chiasm.documents import Continuous, Source
from chiasm.errors import UserError, found_at
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer

MEASURED_ITEMS = 1024
"""Number of training items that the statistics of a tokenizer without its own are measured on."""
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
                device = choose_device(recipe.training.device)
                _measure(own, tokenizers.streams[name], train, device)
    return Inputs(text_tokenizer, tokenizers)


def _measured_before(tokenizers: StreamTokenizers, beginning: Pretrained) -> StreamTokenizers:
    """The tokenizers, those of the model in place of their like that have not been measured."""
    chosen = {}
    for name, own in tokenizers.items():
        chosen[name] = own
        there = beginning.tokenizers.get(name, own)
        forms = [(each.grid, each.channels, each.varies) for each in (own, there)]
        if not own.statistics.count and forms[0] == forms[1]:
            chosen[name] = there
    return StreamTokenizers(chosen, {each.name: each.context_of for each in tokenizers.streams})


def _measure(
    tokenizer: Tokenizer,
    shape: StreamShape,
    sources: Mapping[str, Source],
    device: torch.device,
) -> None:
    """Measures latent statistics on training items, where the sources have any."""
    items = _items(sources, shape.marks, tokenizer)
    first = next(items, None)
    if first is not None:
        whole = (item.to(device) for item in chain([first], items))
        tokenizer.to(device).measure(whole, data=", ".join(sources))


def _items(sources: Mapping[str, Source], stream: str, tokenizer: Tokenizer) -> Iterator[Tensor]:
    """Yields batches of one item of a stream each, spread evenly over the sources."""
    for source in sources.values():
        wanted = min(len(source), MEASURED_ITEMS // len(sources))
        numbers = (number * len(source) // wanted for number in range(wanted))
        # The stream counts and reports what is passed over.
        for number, document in ReadingLog().documents(source, numbers):
            for item in document.items:
                if item.stream == stream:
                    yield from _read(tokenizer, item, f"{source.name}[{number}]")


def _read(tokenizer: Tokenizer, item: Continuous, place: str) -> list[Tensor]:
    """Returns a batch of the item; none where it is broken."""
    try:
        return [tokenizer.read(item.data)[None]]
    except UserError:
        return []
    except Exception as error:
        raise defect(place, error) from error
