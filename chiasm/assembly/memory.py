"""Checks that a model fits the machine, before anything is made for it."""

from __future__ import annotations

import os

import torch

from chiasm.batch.streams import Streams
from chiasm.device import choose_device
from chiasm.model.decoder import Decoder
from chiasm.ranks import ALONE, Ranks
from chiasm.recipe import Recipe

BYTES_PER_PARAMETER = 16
"""Bytes of training: a float32 weight, its gradient, and the optimizer's two moments."""


def refuse_large_model(recipe: Recipe, streams: Streams, ranks: Ranks = ALONE) -> None:
    """Refuses a model whose weights, gradients and optimizer state alone exceed the memory of a
    device, or of a machine on whose CPUs its ranks are.

    Raises:
        UserError: they do.
    """
    with torch.device("meta"):
        decoder = Decoder(
            recipe.model,
            vocabulary=recipe.tokenizer.vocabulary_tokens,
            streams=streams,
        )
    parameters = sum(parameter.numel() for parameter in decoder.parameters())
    device = choose_device(recipe.training.device)
    shards = recipe.training.parallel.shards(ranks.local_size, device.type)
    copies = ranks.local_size if device.type == "cpu" else 1
    needed = BYTES_PER_PARAMETER * parameters * copies // shards
    there = memory_bytes(recipe.training.device)
    if needed > there:
        settings = ["model.width", "model.depth"]
        settings += ["model.moe.num_experts"] * (recipe.model.experts == "moe")
        raise recipe.error(
            settings[0],
            f"makes a model of {parameters:,} parameters: its training needs {needed / 1e9:.0f} "
            f"GB, and {recipe.assigned('training.device')} has {there / 1e9:.0f} GB",
            f"lower {' or '.join(settings)}",
        )


def memory_bytes(device: str) -> int:
    """Returns the whole memory of a device, used or not."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.cuda.mem_get_info(chosen)[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
