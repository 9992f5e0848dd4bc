"""Grouped-query attention over intervals.

Shape suffixes: B rows, T queries, S keys, D width, H query heads, G key-value heads, K head width;
N windows of one size, S positions of each, P = N·S, W positions of all windows, M = B·T,
X = (H + 2G)·K.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from chiasm.model.cache import LayerCache
from chiasm.model.elementwise import spread_rows, take_rows, turn_heads
from chiasm.model.layers import Linear, ModalityLinear
from chiasm.model.routing import Routing
from chiasm.model.settings import ModelSettings
from chiasm.model.windows import Windows
from chiasm.model.work import Work
from chiasm.roles import Role


class Attention(nn.Module):
    """Queries, keys and values from one product, rotary positions, one output product."""

    roles: ClassVar = {"qk_gain": Role.GAIN}

    def __init__(self, settings: ModelSettings, modalities: int) -> None:
        super().__init__()
        self.query_heads, self.key_value_heads = settings.query_heads, settings.key_value_heads
        self.head_width = settings.K
        heads = self.query_heads + 2 * self.key_value_heads
        self.qkv = new_linear(settings, modalities, settings.width, heads * self.head_width)
        self.out = new_linear(
            settings, modalities, self.query_heads * self.head_width, settings.width
        )
        # One gain per head is the scale of its scores; finer gains would not commute with the turn.
        turned = self.query_heads + self.key_value_heads
        self.qk_gain = nn.Parameter(torch.empty(turned)) if settings.qk_norm else None

    def forward(
        self,
        x_BTD: Tensor,
        turn_BTK: Tensor,
        mask: Tensor | Windows | BlockMask,
        past: LayerCache | None = None,
        by_modality: Routing | None = None,
    ) -> Tensor:
        """Attend; ``mask`` is additive [B, 1, T, S], or cut into windows, or FlexAttention's.

        ``by_modality`` is read where each modality has projections of its own.
        """
        H, G = self.query_heads, self.key_value_heads
        heads_BTHK = _project(self.qkv, x_BTD, by_modality)
        heads_BTHK = heads_BTHK.unflatten(-1, (H + 2 * G, self.head_width))
        heads_BTHK = turn_heads(heads_BTHK, self.qk_gain, turn_BTK, H + G)
        if isinstance(mask, Windows):
            return _project(self.out, attend_in_windows(heads_BTHK, H, G, mask), by_modality)
        q_BTHK, k_BTGK, v_BTGK = heads_BTHK.split((H, G, G), dim=2)
        if past is not None:
            k_BTGK, v_BTGK = past.extend(k_BTGK, v_BTGK)
        return _project(self.out, attend(q_BTHK, k_BTGK, v_BTGK, mask).flatten(2), by_modality)

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        pairs = 4 * work.pairs * self.query_heads * self.head_width
        return self.qkv.flops(work.positions) + self.out.flops(work.positions) + pairs

    def idle_parameters(self) -> int:
        """Numbers that one position does not use: projections of other modalities."""
        layers = (self.qkv, self.out)
        return sum(own.weight[1:].numel() for own in layers if isinstance(own, ModalityLinear))


def new_linear(
    settings: ModelSettings, modalities: int, num_inputs: int, num_outputs: int
) -> Linear | ModalityLinear:
    """A projection with the weights that the settings ask for."""
    if settings.attention_weights == "modality":
        return ModalityLinear(modalities, num_inputs, num_outputs)
    return Linear(num_inputs, num_outputs)


def _project(layer: Linear | ModalityLinear, x_BTD: Tensor, by_modality: Routing | None) -> Tensor:
    if isinstance(layer, Linear):
        return layer(x_BTD)
    assert by_modality is not None  # the decoder sorts where a layer needs it
    return layer(x_BTD, by_modality)


def attend(q_BTHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, mask: Tensor | BlockMask) -> Tensor:
    """softmax(q kᵀ / sqrt(K) + mask) v, [B, T, H, K]; H / G query heads share a key-value head."""
    q, k, v = q_BTHK.transpose(1, 2), k_BSGK.transpose(1, 2), v_BSGK.transpose(1, 2)
    grouped = q.shape[1] != k.shape[1]
    if isinstance(mask, BlockMask):
        y_BHTK = _compiled_flex_attention()(q, k, v, block_mask=mask, enable_gqa=grouped)
    else:
        y_BHTK = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask.to(q.dtype), enable_gqa=grouped
        )
    return y_BHTK.transpose(1, 2)


def attend_in_windows(heads_BTHK: Tensor, H: int, G: int, windows: Windows) -> Tensor:
    """The same as :func:`attend` over a whole row, window by window: [B, T, H·K]."""
    rows_MX = heads_BTHK.flatten(0, 1).flatten(1)
    places_WX = spread_rows(rows_MX, windows.position_W, windows.owner_M)
    sizes = [mask.shape[0] * mask.shape[-1] for mask in windows.masks]
    outputs = []
    for mask, part_PX in zip(windows.masks, places_WX.split(sizes), strict=True):
        shape = (mask.shape[0], mask.shape[-1], H + 2 * G, heads_BTHK.shape[-1])
        q_NSHK, k_NSGK, v_NSGK = part_PX.view(shape).split((H, G, G), dim=2)
        outputs.append(attend(q_NSHK, k_NSGK, v_NSGK, mask).flatten(2).flatten(0, 1))
    y_WD = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    y_MD = take_rows(y_WD, windows.owner_M)
    return y_MD.view(*heads_BTHK.shape[:2], -1)


@cache
def _compiled_flex_attention() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=False)
