"""A decoder's first weights."""

from __future__ import annotations

import math
import zlib

import torch
from torch import nn

from chiasm.model.latents import TIME_FEATURES
from chiasm.model.settings import ModelSettings


def initialise(decoder: nn.Module, settings: ModelSettings, seed: int) -> None:
    """Draw every parameter from a normal distribution, by its name.

    ====================================  =====================================================
    parameter                             standard deviation
    ====================================  =====================================================
    norm gains                            constant 1
    matrices that read the residual       1 / √inputs
    matrices that write the residual      1 / √inputs / √(2·depth): the sum of all blocks keeps
    (attention.out, experts.down)         the size of one
    token, time, row, column embedding    EMBEDDING: four such vectors meet in one latent token
    latent embedding                      EMBEDDING / √channels: standardised latents then enter
                                          at the size of a token
    text head                             0: the first loss is ln V whatever the input
    latent head                           0: the first prediction is the latents' mean
    modulation (adaptive time)            0: every block begins unmodulated
    ====================================  =====================================================

    A parameter's values depend on (seed, its name) alone, so adding a part to the model changes
    nothing elsewhere.
    """
    for name, parameter in decoder.named_parameters():
        deviation = _deviation(name, parameter, settings)
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        with torch.no_grad():
            if deviation is None:
                parameter.fill_(1.0)
            else:
                values = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(values * deviation)


EMBEDDING = 0.1
"""Standard deviation of what first enters the residual stream."""


def _deviation(name: str, parameter: nn.Parameter, settings: ModelSettings) -> float | None:
    """None: constant 1."""
    if name.endswith("gain"):
        return None
    if name in ("text_head.weight", "latent_head.weight") or "modulation" in name:
        return 0.0
    if name in ("token_embedding", "place_embedding.row", "place_embedding.column"):
        return EMBEDDING
    inputs = parameter.shape[-1]
    if name == "latent_embedding.weight":
        return EMBEDDING / math.sqrt(inputs)
    if name == "time_embedding.hidden.weight":
        return math.sqrt(2 / TIME_FEATURES)
    if name == "time_embedding.out.weight":
        return EMBEDDING / math.sqrt(inputs)
    if name.endswith(("attention.out.weight", "experts.down")):
        return 1 / math.sqrt(inputs * 2 * settings.depth)
    return 1 / math.sqrt(inputs)
