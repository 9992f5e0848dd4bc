"""Grouped-query attention over intervals.

Shape suffixes: B rows, T queries, S keys, D width, H query heads, G key-value heads, K head width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from chiasm.model.cache import LayerCache
from chiasm.model.elementwise import split_heads
from chiasm.model.layers import Linear
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Work


class Attention(nn.Module):
    """Queries, keys and values from one product, rotary positions, one output product."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.query_heads, self.key_value_heads = settings.query_heads, settings.key_value_heads
        self.head_width = settings.K
        heads = self.query_heads + 2 * self.key_value_heads
        self.qkv = Linear(settings.width, heads * self.head_width)
        self.out = Linear(self.query_heads * self.head_width, settings.width)
        # One gain per head is the scale of its scores; finer gains would not commute with the turn.
        turned = self.query_heads + self.key_value_heads
        self.qk_gain = nn.Parameter(torch.empty(turned)) if settings.qk_norm else None

    def forward(
        self,
        x_BTD: Tensor,
        turn_BTK: Tensor,
        mask: Tensor | BlockMask,
        past: LayerCache | None = None,
    ) -> Tensor:
        """Attend; ``mask`` is additive [B, 1, T, S], or FlexAttention's."""
        heads_BTHK = self.qkv(x_BTD).unflatten(-1, (-1, self.head_width))
        q_BTHK, k_BTGK, v_BTGK = split_heads(heads_BTHK, self.qk_gain, turn_BTK, self.query_heads)
        if past is not None:
            k_BTGK, v_BTGK = past.extend(k_BTGK, v_BTGK)
        y_BHTK = attend(
            q_BTHK.transpose(1, 2), k_BTGK.transpose(1, 2), v_BTGK.transpose(1, 2), mask
        )
        return self.out(y_BHTK.transpose(1, 2).flatten(2))

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        pairs = 4 * work.pairs * self.query_heads * self.head_width
        return self.qkv.flops(work.positions) + self.out.flops(work.positions) + pairs


def attend(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Tensor | BlockMask) -> Tensor:
    """softmax(q kᵀ / sqrt(K) + mask) v, with H / G query heads to each key-value head."""
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    if isinstance(mask, BlockMask):
        return _compiled_flex_attention()(
            q_BHTK, k_BGSK, v_BGSK, block_mask=mask, enable_gqa=grouped
        )
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=mask, enable_gqa=grouped
    )


@cache
def _compiled_flex_attention() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=False)
