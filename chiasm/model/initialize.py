"""A decoder's first weights."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator

import torch
from torch import nn

from chiasm.batch.streams import IMAGE
from chiasm.errors import UserError
from chiasm.model.latents import PLACE, TIME_FEATURES
from chiasm.model.settings import ModelSettings
from chiasm.ranks import part_of
from chiasm.roles import Role, parameter_roles


def initialize(decoder: nn.Module, settings: ModelSettings, seed: int) -> None:
    """Draw every parameter from a normal distribution, by its name.

    ====================================  =====================================================
    parameter                             standard deviation
    ====================================  =====================================================
    gains (of :class:`Role.GAIN`)         none: they keep the value that their module gives them
    matrices that read the residual       1 / √inputs
    matrices that write the residual      1 / √inputs / √(2·depth): the sum of all blocks keeps
    (a module's ``writes_residual``)      the size of one
    token embedding, time embedding       1
    latent embedding of a stream          1 / √channels: standardized latents then enter at the
                                          size of a token
    tables of its places                  PLACE: larger than the latents, which may be noise
    text head                             0: the first loss is ln V whatever the input
    latent heads of a stream              0: the first prediction is the latents' mean
    modulation (adaptive time)            0: every block begins unmodulated
    step embedding                        1, and 0 of its last layer: all steps begin alike
    ====================================  =====================================================

    A parameter's values depend on (seed, its name) alone, so adding a part to the model changes
    nothing elsewhere, and each rank takes its part of those that lie on several. Parameters without
    memory are passed over. The layers of pictures are named without their stream: they were there
    first.
    """
    writing = {parameter for module in decoder.modules() for parameter in _writing(module)}
    for full, role in parameter_roles(decoder).items():
        if role is Role.GAIN:
            continue
        parameter, kind = decoder.get_parameter(full), _OF_A_STREAM.sub(r"\1", full)
        if parameter.is_meta:
            continue
        deviation = _deviation(kind, parameter)
        if parameter in writing:
            deviation = 1 / math.sqrt(parameter.shape[-1] * 2 * settings.depth)
        name = kind if f".{IMAGE}." in full else full
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        with torch.no_grad():
            drawn = deviation * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(part_of(parameter, drawn))


_ZERO = ("text_head.weight", "latent_head.weight", "step_embedding.out.weight")
_OF_A_STREAM = re.compile(r"^((?:inner_head\.)?(?:latent|place)_\w+\.)[^.]+\.")


def _writing(module: nn.Module) -> Iterator[nn.Parameter]:
    for name in getattr(module, "writes_residual", ()):
        try:
            yield module.get_parameter(name)
        except AttributeError as error:
            told = f"{type(module).__name__}.writes_residual"
            raise UserError(f"{told} names {name!r}, which is no parameter of it") from error


def _deviation(name: str, parameter: nn.Parameter) -> float:
    if name.endswith(_ZERO) or "modulation" in name:
        return 0.0
    if name in ("token_embedding", "step_embedding.hidden.weight"):
        return 1.0
    if name.startswith("place_embedding."):
        return PLACE
    if name == "time_embedding.hidden.weight":
        return math.sqrt(2 / TIME_FEATURES)
    return 1 / math.sqrt(parameter.shape[-1])
