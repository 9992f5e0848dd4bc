"""Softmax attention under a mask: three kernels, and the choice between them.

Shape suffixes: B rows, T queries, S keys, H query heads, G key-value heads, K head width; M = B·T,
N windows of one size, P positions of these, W positions of all windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from chiasm.model.elementwise import spread_rows, take_rows
from chiasm.model.mask import IntervalMask
from chiasm.model.windows import Windows


@dataclass(frozen=True)
class AttentionMask:
    """The mask of one forward pass, as every attention layer applies it.

    What is derived from it is computed once and shared by the layers.
    """

    intervals: IntervalMask
    held_B: Tensor | None = None
    """int64: keys that each row's cache holds before the queries; None: there is no cache, and
    the queries' own positions are the keys."""
    _narrower: dict[int, AttentionMask] = field(default_factory=dict, init=False, repr=False)

    def attend(self, q_BTHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor) -> Tensor:
        """Returns softmax(q kᵀ / sqrt(K) + mask) v, [B, T, H, K], by the fastest kernel here.

        H / G query heads share a key-value head; values may have a width of their own.
        """
        return self._kernel(q_BTHK, k_BSGK, v_BSGK)

    def within(self, window: int) -> AttentionMask:
        """Returns the mask without the keys that lie ``window`` positions or more back."""
        if window not in self._narrower:
            first_BT, last_BT = self.intervals.first_BT, self.intervals.last_BT
            own_BT = torch.arange(first_BT.shape[1], device=first_BT.device)
            own_BT = own_BT if self.held_B is None else own_BT + self.held_B.unsqueeze(1)
            first_BT = torch.maximum(first_BT, own_BT - (window - 1))
            narrower = IntervalMask(first_BT, last_BT, self.intervals.num_keys)
            self._narrower[window] = AttentionMask(narrower, self.held_B)
        return self._narrower[window]

    @cached_property
    def _kernel(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        mask, device = self.intervals, self.intervals.first_BT.device.type
        # FlexAttention compiles for a fixed shape: training has one, a growing history has not.
        if device == "cuda" and self.held_B is None:
            return partial(_attend, mask.block_mask)
        if device == "cpu" and self.held_B is None and (windows := Windows.of(mask)) is not None:
            return partial(_attend_in_windows, windows)
        return partial(_attend, mask.additive_B1TS)


def _attend(mask: Tensor | BlockMask, q_BTHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor) -> Tensor:
    q, k, v = q_BTHK.transpose(1, 2), k_BSGK.transpose(1, 2), v_BSGK.transpose(1, 2)
    grouped = q.shape[1] != k.shape[1]
    if isinstance(mask, BlockMask):
        y_BHTK = _compiled_flex_attention()(q, k, v, block_mask=mask, enable_gqa=grouped)
    else:
        mask = mask.to(q.dtype)
        y_BHTK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
    return y_BHTK.transpose(1, 2)


def _attend_in_windows(windows: Windows, q_BTHK: Tensor, k_BTGK: Tensor, v_BTGK: Tensor) -> Tensor:
    """The same as :func:`_attend` over a whole row, window by window."""
    heads_M = (x.flatten(0, 1) for x in (q_BTHK, k_BTGK, v_BTGK))
    heads_W = spread_rows(windows.position_W, windows.owner_M, *heads_M)
    sizes_N2 = [(mask.shape[0], mask.shape[-1]) for mask in windows.masks]
    parts = zip(*(x.split([n * size for n, size in sizes_N2]) for x in heads_W), strict=True)
    outputs = [
        _attend(mask, *(x.unflatten(0, shape) for x in part)).flatten(0, 1)
        for mask, shape, part in zip(windows.masks, sizes_N2, parts, strict=True)
    ]
    y_WX = (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).flatten(1)
    return take_rows(y_WX, windows.owner_M).view(*q_BTHK.shape[:3], -1)


@cache
def _compiled_flex_attention() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=False)
