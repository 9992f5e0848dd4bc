"""What a block asks of its attention, and grouped-query attention.

Shape suffixes: B rows, T queries, S keys, D width, H query heads, G key-value heads, K head width.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from chiasm.model.cache import LayerCache
from chiasm.model.elementwise import apply_rotary
from chiasm.model.layers import Linear
from chiasm.model.mask import IntervalMask
from chiasm.model.routing import Routing
from chiasm.model.settings import ModelSettings
from chiasm.model.windowed import attend_windowed
from chiasm.model.work import Work
from chiasm.roles import Role


class Attention(nn.Module):
    """What a block adds to the residual stream first: positions that look at each other.

    Another kind is a subclass, and registered settings that build it (docs/model.md has one). It
    implements ``forward(x_BTD, rotary_BTK, mask, past, by_modality)`` as :class:`GroupedAttention`
    does; ``rotary_BTK`` are the angles as ``apply_rotary`` takes them, ``past`` is the layer's
    cache that this pass extends, and ``by_modality`` goes to projections of each modality.
    Without a cache, positions may lie in any order, in one row
    (:meth:`chiasm.model.inputs.DecoderInput.by_modality`): only ``mask`` knows who sees whom.
    """

    cached: tuple[tuple[int, ...], ...]
    """Shapes of what the layer keeps of a position, in the order in which it extends its cache."""
    pair_flops: int
    """Of one (query, key) pair, all heads together."""

    def new_cache(self, rows: int, capacity: int, like: Tensor) -> LayerCache:
        """Returns ``capacity`` empty slots for each row, of the type and device of ``like``."""
        return LayerCache(tuple(like.new_zeros(rows, capacity, *shape) for shape in self.cached))

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        layers = (layer for layer in self.modules() if isinstance(layer, Linear))
        return sum(layer.flops(work.positions) for layer in layers) + self.pair_flops * work.pairs


class GroupedAttention(Attention):
    """Queries, keys and values from one product, rotary positions, one output product."""

    roles: ClassVar = {
        "qk_gain": Role.GAIN,
        "qkv.weight": Role.HIDDEN,
        "out.weight": Role.HIDDEN,
    }
    writes_residual: ClassVar = ("out.weight",)

    def __init__(self, settings: ModelSettings, modalities: int | None) -> None:
        super().__init__()
        self.query_heads, self.key_value_heads = settings.query_heads, settings.key_value_heads
        self.head_width = settings.K
        rotated = self.query_heads + self.key_value_heads
        heads = rotated + self.key_value_heads
        self.qkv = Linear(settings.width, heads * self.head_width, modalities)
        self.out = Linear(self.query_heads * self.head_width, settings.width, modalities)
        # One gain per head is the scale of its scores; finer gains would not commute with the turn.
        self.qk_gain = nn.Parameter(torch.ones(rotated)) if settings.qk_norm else None
        queries, others = (n * self.head_width for n in (self.query_heads, self.key_value_heads))
        self.row_parts = {"qkv.weight": (queries, others, others)}
        self.cached = ((self.key_value_heads, self.head_width),) * 2
        self.pair_flops = 4 * self.query_heads * self.head_width

    def forward(
        self,
        x_BTD: Tensor,
        rotary_BTK: Tensor,
        mask: IntervalMask,
        past: LayerCache | None = None,
        by_modality: Routing | None = None,
    ) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        H, G = self.query_heads, self.key_value_heads
        heads_BTHK = self.qkv(x_BTD, by_modality).unflatten(-1, (H + 2 * G, self.head_width))
        if past is None and (rows := mask.head_rows(heads_BTHK, H)):
            heads_MAK, turn_MK = heads_BTHK.flatten(0, 1), rotary_BTK.flatten(0, 1)
            gain_X1 = None if self.qk_gain is None else self.qk_gain.unsqueeze(1)
            y_MX = attend_windowed(heads_MAK, gain_X1, turn_MK, rows)
            return self.out(y_MX.unflatten(0, x_BTD.shape[:2]), by_modality)
        heads_BTHK = apply_rotary(heads_BTHK, self.qk_gain, rotary_BTK, H + G)
        q_BTHK, k_BSGK, v_BSGK = heads_BTHK.split((H, G, G), dim=2)
        if past is not None:
            k_BSGK, v_BSGK = past.extend(k_BSGK, v_BSGK)
        return self.out(mask.attend(q_BTHK, k_BSGK, v_BSGK).flatten(2), by_modality)
