"""What a block asks of its attention, and grouped-query attention.

An attention of another kind subclasses :class:`Attention` and registers settings that build it
(docs/model.md has an example).

Shape suffixes: B rows, T queries, S keys, D width, H query heads, G key-value heads, K head width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from chiasm.model.cache import LayerCache
from chiasm.model.elementwise import turn_heads
from chiasm.model.kernels import AttentionMask
from chiasm.model.layers import Linear, ModalityLinear
from chiasm.model.routing import Routing
from chiasm.model.settings import ATTENTIONS, AttentionSettings, ModelSettings
from chiasm.model.work import Work
from chiasm.roles import Role


class Attention(nn.Module, ABC):
    """Positions look at each other: what a block adds to the residual stream first."""

    @abstractmethod
    def forward(
        self,
        x_BTD: Tensor,
        turn_BTK: Tensor,
        mask: AttentionMask,
        past: LayerCache | None = None,
        by_modality: Routing | None = None,
    ) -> Tensor:
        """Returns what the block adds, [B, T, D].

        Args:
            x_BTD: the positions, normalised.
            turn_BTK: cosines and sines of their rotary angles, as ``turn_heads`` takes them.
            mask: what each of them sees.
            past: the layer's cache, which this pass extends; None: nothing was read before.
            by_modality: where each modality has projections of its own.
        """

    @abstractmethod
    def new_cache(
        self, rows: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> LayerCache:
        """Returns room for ``capacity`` positions of each row, with nothing read."""

    @abstractmethod
    def flops(self, work: Work) -> int:
        """Of the forward pass."""

    def idle_parameters(self) -> int:
        """Numbers that one position does not use: projections of the other modality."""
        own = (layer for layer in self.modules() if isinstance(layer, ModalityLinear))
        return sum(layer.weight[0].numel() for layer in own)


class GroupedAttention(Attention):
    """Queries, keys and values from one product, rotary positions, one output product."""

    roles: ClassVar = {"qk_gain": Role.GAIN}
    writes_residual: ClassVar = ("out.weight",)

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.query_heads, self.key_value_heads = settings.query_heads, settings.key_value_heads
        self.head_width = settings.K
        heads = self.query_heads + 2 * self.key_value_heads
        self.qkv = new_projection(settings, settings.width, heads * self.head_width)
        self.out = new_projection(settings, self.query_heads * self.head_width, settings.width)
        # One gain per head is the scale of its scores; finer gains would not commute with the turn.
        turned = self.query_heads + self.key_value_heads
        self.qk_gain = nn.Parameter(torch.empty(turned)) if settings.qk_norm else None

    def forward(
        self,
        x_BTD: Tensor,
        turn_BTK: Tensor,
        mask: AttentionMask,
        past: LayerCache | None = None,
        by_modality: Routing | None = None,
    ) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        H, G = self.query_heads, self.key_value_heads
        heads_BTHK = projected(self.qkv, x_BTD, by_modality)
        heads_BTHK = heads_BTHK.unflatten(-1, (H + 2 * G, self.head_width))
        heads_BTHK = turn_heads(heads_BTHK, self.qk_gain, turn_BTK, H + G)
        q_BTHK, k_BSGK, v_BSGK = heads_BTHK.split((H, G, G), dim=2)
        if past is not None:
            k_BSGK, v_BSGK = past.extend(k_BSGK, v_BSGK)
        return projected(self.out, mask.attend(q_BTHK, k_BSGK, v_BSGK).flatten(2), by_modality)

    def new_cache(
        self, rows: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> LayerCache:
        """Returns room for the keys and values of ``capacity`` positions of each row."""
        shape = (rows, capacity, self.key_value_heads, self.head_width)
        return LayerCache(tuple(torch.zeros(shape, device=device, dtype=dtype) for _ in range(2)))

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        pairs = 4 * work.pairs * self.query_heads * self.head_width
        return self.qkv.flops(work.positions) + self.out.flops(work.positions) + pairs


@ATTENTIONS.register
class GroupedSettings(AttentionSettings):
    """Grouped-query attention (arXiv 2305.13245)."""

    kind: Literal["grouped"] = "grouped"

    def build(self, model: ModelSettings) -> GroupedAttention:
        """Returns the layer of one block."""
        return GroupedAttention(model)


def new_projection(settings: ModelSettings, inputs: int, outputs: int) -> Linear | ModalityLinear:
    """Returns a linear layer with the weights that the settings ask for."""
    separate = settings.attention_weights == "modality"
    return ModalityLinear(inputs, outputs) if separate else Linear(inputs, outputs)


def projected(layer: Linear | ModalityLinear, x_BTD: Tensor, by_modality: Routing | None) -> Tensor:
    """[B, T, inputs] → [B, T, outputs]."""
    if isinstance(layer, Linear):
        return layer(x_BTD)
    assert by_modality is not None  # the decoder sorts where a layer needs it
    return layer(x_BTD, by_modality)
