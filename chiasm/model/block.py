"""One block: attention, then experts, each behind its norm.

Shape suffixes: B rows, T positions, D width, K head width, M = B·T; 6 = scale, shift and gate of
both halves of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from chiasm.batch.streams import TEXT
from chiasm.errors import settings_of
from chiasm.model.attention import Attention
from chiasm.model.cache import LayerCache
from chiasm.model.elementwise import by_hand
from chiasm.model.experts import Experts, MixtureOfExperts
from chiasm.model.fused import add_experts
from chiasm.model.layers import RMSNorm
from chiasm.model.mask import IntervalMask
from chiasm.model.router import RouterOutput
from chiasm.model.routing import Routing
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Work
from chiasm.roles import Role


@dataclass(frozen=True)
class Shared:
    """What all blocks of one forward pass share, computed once."""

    rotary_BTK: Tensor
    mask: IntervalMask
    modality_BT: Tensor
    by_modality: Routing | None
    """None where nothing has weights of each modality."""
    ends: Sequence[int] | None
    """Where positions that lie sorted by modality end; None: they do not."""
    modulation_BT6D: Tensor | None
    """By flow time, 0 where there is none; None where time is added."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + experts(norm(x)); the first blocks may be dense."""

    roles: ClassVar = {"modulation": Role.TABLE}

    def __init__(self, settings: ModelSettings, number: int, modalities: int) -> None:
        super().__init__()
        separate = modalities if settings.attention_weights == "modality" else None
        self.attention_norm = RMSNorm(settings.width, separate)
        with settings_of("model.attention"), settings.attention.calling("build()"):
            self.attention = cast("Attention", settings.attention.build(settings, separate))
        self.experts_norm = RMSNorm(settings.width, separate)
        self.experts = _experts(settings, number, modalities)
        if settings.time_conditioning == "adaptive":
            self.modulation = nn.Parameter(torch.empty(6, settings.width))

    def forward(
        self, x_BTD: Tensor, shared: Shared, past: LayerCache | None = None
    ) -> tuple[Tensor, RouterOutput | None]:
        """[B, T, D] → [B, T, D], and what the router chose where there is one."""
        modality_BT = shared.modality_BT
        if shared.modulation_BT6D is None:
            x_BTD = x_BTD + self._attend(self.attention_norm(x_BTD, modality_BT), shared, past)
            if (ends := self._runs(x_BTD, shared)) is not None:
                gain, own = self.experts_norm.gain, self.experts
                gain_XD = gain if gain.ndim == 2 else gain.unsqueeze(0)
                x_MD = add_experts(x_BTD.flatten(0, 1), gain_XD, own.gate_up, own.down, ends)
                return x_MD.view_as(x_BTD), None
            y_BTD, choice = self._transform(self.experts_norm(x_BTD, modality_BT), shared)
            return x_BTD + y_BTD, choice
        latent_BT11 = (modality_BT > TEXT)[..., None, None]
        own_BT6D = shared.modulation_BT6D + self.modulation.to(x_BTD.dtype) * latent_BT11
        scale, shift, gate, scale2, shift2, gate2 = own_BT6D.unbind(2)
        y_BTD = self.attention_norm(x_BTD, modality_BT) * (1 + scale) + shift
        x_BTD = x_BTD + (1 + gate) * self._attend(y_BTD, shared, past)
        y_BTD = self.experts_norm(x_BTD, modality_BT) * (1 + scale2) + shift2
        y_BTD, choice = self._transform(y_BTD, shared)
        return x_BTD + (1 + gate2) * y_BTD, choice

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        return self.attention.flops(work) + self.experts.flops(work.positions)

    def _attend(self, x_BTD: Tensor, shared: Shared, past: LayerCache | None) -> Tensor:
        return self.attention(x_BTD, shared.rotary_BTK, shared.mask, past, shared.by_modality)

    def _runs(self, x_BTD: Tensor, shared: Shared) -> Sequence[int] | None:
        """Where the rows of each expert and norm end; None where they do not lie in runs."""
        if isinstance(self.experts, MixtureOfExperts) or not by_hand(x_BTD):
            return None
        single = len(self.experts.gate_up) == 1 and self.experts_norm.gain.ndim == 1
        return (x_BTD.shape[:2].numel(),) if single else shared.ends

    def _transform(self, x_BTD: Tensor, shared: Shared) -> tuple[Tensor, RouterOutput | None]:
        if isinstance(self.experts, MixtureOfExperts):
            return self.experts.transform(x_BTD, shared.by_modality)
        return self.experts(x_BTD, self.experts.own(shared.by_modality)), None


def _experts(settings: ModelSettings, number: int, modalities: int) -> Experts:
    if settings.experts == "modality":
        return Experts(modalities, settings.width, settings.F)
    if settings.experts == "dense" or number < settings.moe.dense_blocks:
        return Experts(1, settings.width, settings.F)
    return MixtureOfExperts(settings.moe, settings.width, settings.F, modalities)
