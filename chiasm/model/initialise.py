"""A decoder's first weights."""

from __future__ import annotations

import math
import re
import zlib

import torch
from torch import nn

from chiasm.batch.streams import IMAGE
from chiasm.model.latents import TIME_FEATURES, PlaceEmbedding
from chiasm.model.settings import ModelSettings


def initialise(decoder: nn.Module, settings: ModelSettings, seed: int) -> None:
    """Draw every parameter from a normal distribution, by its name.

    ====================================  =====================================================
    parameter                             standard deviation
    ====================================  =====================================================
    norm gains                            constant 1
    gain of sinusoidal places             constant √(2·axes)·PLACE, as large as learned tables
    matrices that read the residual       1 / √inputs
    matrices that write the residual      1 / √inputs / √(2·depth): the sum of all blocks keeps
    (a module's ``writes_residual``)      the size of one
    token embedding, time embedding       1
    latent embedding of a stream          1 / √channels: standardised latents then enter at the
                                          size of a token
    tables of its places                  PLACE: larger than the latents, which may be noise
    text head                             0: the first loss is ln V whatever the input
    latent head of a stream               0: the first prediction is the latents' mean
    modulation (adaptive time)            0: every block begins unmodulated
    ====================================  =====================================================

    A parameter's values depend on (seed, its name) alone, so adding a part to the model changes
    nothing elsewhere. The layers of pictures are named without their stream: they were there first.
    """
    writing = {
        module.get_parameter(name)
        for module in decoder.modules()
        for name in getattr(module, "writes_residual", ())
    }
    for full, parameter in decoder.named_parameters():
        kind = _OF_A_STREAM.sub(r"\1", full)
        deviation = _deviation(kind, parameter)
        if parameter in writing:
            deviation = 1 / math.sqrt(parameter.shape[-1] * 2 * settings.depth)
        name = kind if f".{IMAGE}." in full else full
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        with torch.no_grad():
            if kind == "place_embedding.gain":  # of sines and cosines
                places = decoder.get_submodule(full.rpartition(".")[0])
                assert isinstance(places, PlaceEmbedding)
                parameter.fill_(math.sqrt(2 * len(places.axes)) * PLACE)
            elif deviation is None:
                parameter.fill_(1.0)
            else:
                parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))


_OF_A_STREAM = re.compile(r"^((?:latent|place)_\w+\.)[^.]+\.")

PLACE = 2.0
"""Standard deviation of a row's or column's embedding.

An imagined frame begins as noise: its queries find the right part of an earlier frame by place
alone, and until they do, all places of that frame are averaged. Small embeddings (0.1) drown in
what the first blocks add, and training stays with the average for thousands of steps (docs/log.md
has the figures).
"""


def _deviation(name: str, parameter: nn.Parameter) -> float | None:
    """None: constant 1."""
    if name.endswith("gain"):
        return None
    if name in ("text_head.weight", "latent_head.weight") or "modulation" in name:
        return 0.0
    if name == "token_embedding":
        return 1.0
    if name.startswith("place_embedding."):
        return PLACE
    if name == "time_embedding.hidden.weight":
        return math.sqrt(2 / TIME_FEATURES)
    return 1 / math.sqrt(parameter.shape[-1])
