"""Who sees whom: query q sees the keys first[q] to last[q], both inclusive.

Two vectors of integers carry the whole mask (:mod:`chiasm.batch.packed` says what they mean). From
them come the dense boolean reference, the additive mask of scaled_dot_product_attention, the
windows of a CPU, and FlexAttention's BlockMask. The last one needs no T² evaluation: a block of
queries touches a block of keys if its smallest ``first`` and largest ``last`` reach it, and covers
it fully if its largest ``first`` and smallest ``last`` enclose it. A touched block that is empty
after all costs time but changes nothing, because the mask function still looks at each pair of a
partial block.

Shape suffixes: B rows, T queries, S keys, H query heads, G key-value heads, K head width; Q blocks
of queries, J blocks of keys; M = B·T, N windows of one size, W positions of all windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from chiasm.batch.packed import PackedBatch
from chiasm.device import kind_of
from chiasm.model.elementwise import by_hand, spread_rows, take_rows
from chiasm.model.windowed import LARGEST, HeadRows
from chiasm.model.windows import Windows, additive, seen

BLOCK = 128
"""Queries and keys of one FlexAttention block."""

POSITIONS_AT_ONCE = 512
"""Queries behind a cache whose keys and values stay near a core."""


@dataclass(frozen=True)
class IntervalMask:
    """T queries per row, each seeing one interval of the row's ``num_keys`` keys; one per step.

    What is derived from it is computed once and shared by the layers.
    """

    first_BT: Tensor
    """int64: first key seen."""
    last_BT: Tensor
    """int64: last key seen."""
    num_keys: int
    """S: keys that the queries could see; T in training, the cache's slots in inference."""
    held_B: Tensor | None = None
    """int64: keys that each row's cache holds before the queries; None: there is no cache, and
    the queries' own positions are the keys."""
    order_M: Tensor | None = None
    """int64: which of the B·T positions attend, in their order in the one row that then holds them;
    None: all do, in B rows."""
    _narrower: dict[int, IntervalMask] = field(default_factory=dict, init=False, repr=False)

    _head_rows: dict[tuple[int, int], HeadRows] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def from_batch(cls, batch: PackedBatch) -> IntervalMask:
        """The mask of a packed batch: keys and queries are the same T positions."""
        return cls(batch.first_BT, batch.last_BT, batch.num_positions)

    @cached_property
    def attend(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """(q [B, T, H, K], k [B, S, G, K], v) → softmax(q kᵀ / sqrt(K) + mask) v, [B, T, H, K].

        The fastest kernel here. H / G query heads share a key-value head; values may have a width
        of their own.
        """
        device, own_keys = kind_of(self.first_BT), self.held_B is None
        # FlexAttention compiles for a fixed shape: training has one, a growing history has not.
        if device == "cuda" and own_keys:
            return partial(_attend, self.block_mask)
        if device == "cpu" and own_keys:
            return partial(_attend_in_windows, self.windows)
        if device == "cpu":
            return partial(_attend_in_rows, self.additive_B1TS, (self.last_BT.amax(1) + 1).tolist())
        return partial(_attend, self.additive_B1TS)

    @cached_property
    def windows(self) -> Windows:
        """The windows of a CPU."""
        return Windows.of(self.first_BT, self.last_BT, self.order_M)

    def head_rows(self, heads_BTHK: Tensor, heads: int) -> HeadRows | None:
        """Where H query heads and their keys and values [B, T, H + 2·G, K] lie in the windows; None
        where :meth:`attend` is for them."""
        if self.held_B is not None or not by_hand(heads_BTHK):
            return None
        if self.windows.intervals[-1].shape[-1] > LARGEST:
            return None
        groups = (heads_BTHK.shape[2] - heads) // 2
        if (heads, groups) not in self._head_rows:
            self._head_rows[heads, groups] = HeadRows.of(self.windows, heads, groups)
        return self._head_rows[heads, groups]

    def within(self, window: int) -> IntervalMask:
        """Returns the mask without the keys that lie ``window`` positions or more back."""
        if window not in self._narrower:
            own_BT = torch.arange(self.first_BT.shape[1], device=self.first_BT.device)
            own_BT = own_BT if self.held_B is None else own_BT + self.held_B.unsqueeze(1)
            first_BT = torch.maximum(self.first_BT, own_BT - (window - 1))
            self._narrower[window] = replace(self, first_BT=first_BT)
        return self._narrower[window]

    @cached_property
    def dense_BTS(self) -> Tensor:
        """bool [B, T, S]: the reference."""
        return seen(self.first_BT, self.last_BT, self.num_keys)

    @cached_property
    def additive_B1TS(self) -> Tensor:
        """float32 [B, 1, T, S]: 0 where a key is seen, -inf where not.

        scaled_dot_product_attention would make this from a boolean mask again in every layer.
        """
        return additive(self.first_BT, self.last_BT, self.num_keys)

    @cached_property
    def block_mask(self) -> BlockMask:
        """FlexAttention's mask, for all heads, of fixed shape for a given (B, T, S)."""
        first_BT, last_BT = self.first_BT, self.last_BT

        # The same function over other tensors each step, so nothing is compiled twice.
        def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key >= first_BT[row, query]) & (key <= last_BT[row, query])

        touched_BQJ, full_BQJ = self.block_tables()
        partial_count, partial_index = _listed(touched_BQJ & ~full_BQJ)
        full_count, full_index = _listed(full_BQJ)
        return BlockMask.from_kv_blocks(
            partial_count,
            partial_index,
            full_count,
            full_index,
            BLOCK_SIZE=BLOCK,
            mask_mod=sees,
            seq_lengths=(first_BT.shape[1], self.num_keys),
        )

    def block_tables(self) -> tuple[Tensor, Tensor]:
        """Returns which blocks of keys each block of queries touches, and which it covers fully.

        bool [B, Q, J] both. Touched may name a block that holds no pair; full never names one that
        lacks a pair.
        """
        low_first_BQ = _per_block(self.first_BT, pad=self.num_keys).amin(-1)
        high_last_BQ = _per_block(self.last_BT, pad=-1).amax(-1)
        high_first_BQ = _per_block(self.first_BT, pad=-1).amax(-1)
        low_last_BQ = _per_block(self.last_BT, pad=self.num_keys).amin(-1)
        begin_J = torch.arange(0, self.num_keys, BLOCK, device=self.first_BT.device)
        end_J = (begin_J + BLOCK - 1).clamp_max(self.num_keys - 1)
        touched = (low_first_BQ.unsqueeze(-1) <= end_J) & (high_last_BQ.unsqueeze(-1) >= begin_J)
        full = (high_first_BQ.unsqueeze(-1) <= begin_J) & (low_last_BQ.unsqueeze(-1) >= end_J)
        # A block that reaches past the last query or key is never full: the kernel must look.
        whole_Q = torch.arange(1, touched.shape[1] + 1, device=begin_J.device) * BLOCK
        full = full & (whole_Q <= self.first_BT.shape[1]).unsqueeze(-1)
        return touched, full & (begin_J + BLOCK <= self.num_keys)


def _per_block(x_BT: Tensor, pad: int) -> Tensor:
    """[B, T] → [B, Q, BLOCK], the tail filled with ``pad``."""
    tail = -x_BT.shape[1] % BLOCK
    return F.pad(x_BT, (0, tail), value=pad).unflatten(1, (-1, BLOCK))


def _listed(chosen_BQJ: Tensor) -> tuple[Tensor, Tensor]:
    """Counts [B, 1, Q] and indices [B, 1, Q, J], the chosen ones first and in order, as int32."""
    index_BQJ = chosen_BQJ.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    count_BQ = chosen_BQJ.sum(dim=-1)
    return count_BQ.unsqueeze(1).int(), index_BQJ.unsqueeze(1).int()


def _attend(mask: Tensor | BlockMask, q_BTHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor) -> Tensor:
    q, k, v = q_BTHK.transpose(1, 2), k_BSGK.transpose(1, 2), v_BSGK.transpose(1, 2)
    grouped = q.shape[1] != k.shape[1]
    if isinstance(mask, BlockMask):
        y_BHTK = _compiled_flex_attention()(q, k, v, block_mask=mask, enable_gqa=grouped)
    else:
        mask = mask.to(q.dtype)
        y_BHTK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
    return y_BHTK.transpose(1, 2)


def _attend_in_rows(
    mask_B1TS: Tensor,
    needed_B: Sequence[int],
    q_BTHK: Tensor,
    k_BSGK: Tensor,
    v_BSGK: Tensor,
) -> Tensor:
    """The same as :func:`_attend`, a few rows at a time, with the keys that one of them needs."""
    at_once = max(1, POSITIONS_AT_ONCE // q_BTHK.shape[1])
    parts = []
    for begin in range(0, len(q_BTHK), at_once):
        rows, keys = slice(begin, begin + at_once), slice(max(needed_B[begin : begin + at_once]))
        mask = mask_B1TS[rows, ..., keys]
        parts.append(_attend(mask, q_BTHK[rows], k_BSGK[rows, keys], v_BSGK[rows, keys]))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _attend_in_windows(windows: Windows, q_BTHK: Tensor, k_BTGK: Tensor, v_BTGK: Tensor) -> Tensor:
    """The same as :func:`_attend` over a whole row, window by window."""
    masks = windows.masks
    heads_M = (x.flatten(0, 1) for x in (q_BTHK, k_BTGK, v_BTGK))
    heads_W = spread_rows(windows.position_W, windows.owner_M, *heads_M)
    sizes_N2 = [(mask.shape[0], mask.shape[-1]) for mask in masks]
    parts = zip(*(x.split([n * size for n, size in sizes_N2]) for x in heads_W), strict=True)
    outputs = [
        _attend(mask, *(x.unflatten(0, shape) for x in part)).flatten(0, 1)
        for mask, shape, part in zip(masks, sizes_N2, parts, strict=True)
    ]
    y_WX = (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).flatten(1)
    return take_rows(y_WX, windows.owner_M).view(*q_BTHK.shape[:3], -1)


@cache
def _compiled_flex_attention() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=False)
