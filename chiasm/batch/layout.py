"""Who sees whom: the one rule from positions and items to intervals, in training and in sampling.

What a query may see is one contiguous range of keys, [first, last], both inclusive:

- text sees its document up to itself;
- an item's tokens see their document up to the item's last token (an item is bidirectional inside,
  causal outside);
- an item whose condition was dropped for guidance sees only the mark that opens it and itself;
- padding sees itself alone.

Shape suffixes: B rows, T positions of a row, N items of one stream, L their latent tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from chiasm.batch.slots import Slots
from chiasm.batch.streams import PADDING, TEXT, Streams


class Layout(NamedTuple):
    """What the rule makes of rows; int64 [B, T] each."""

    modality_BT: np.ndarray
    """The modality of each position; :class:`~chiasm.batch.streams.Streams` numbers them."""
    first_BT: np.ndarray
    """First key that the query may see."""
    last_BT: np.ndarray
    """Last key that it may see."""


def lay_out(
    filled_BT: np.ndarray,
    position_BT: np.ndarray,
    slots: Mapping[str, Slots],
    streams: Streams,
    held_B: np.ndarray | int = 0,
) -> Layout:
    """Computes modalities and intervals of rows of documents.

    ``filled_BT``: bool, False at padding; ``position_BT``: int64, each position's number in its
    document; ``held_B``: keys before the first position of each row, which a cache holds. A
    document that began before all keys is seen from the first key on.
    """
    query_BT = np.arange(filled_BT.shape[1]) + np.reshape(held_B, (-1, 1))
    query_BT = np.broadcast_to(query_BT, filled_BT.shape)
    modality_BT = np.where(filled_BT, TEXT, PADDING)
    first_BT = np.where(filled_BT, np.maximum(query_BT - position_BT, 0), query_BT)
    last_BT = query_BT.copy()
    for name, own in slots.items():
        row_N, start_N, tokens_N = own.row_N.numpy(), own.start_N.numpy(), own.tokens_N.numpy()
        item_L, position_L = own.item_L.numpy(), own.position_L.numpy()
        end_N = query_BT[row_N, start_N + tokens_N - 1]
        modality_BT.reshape(-1)[position_L] = streams.modality_of(name)
        last_BT.reshape(-1)[position_L] = end_N[item_L]
        if own.dropped_N.any():
            dropped_N = own.dropped_N.numpy()
            open_N = query_BT[row_N, start_N - 1]
            blind_L = dropped_N[item_L]
            first_BT.reshape(-1)[position_L[blind_L]] = open_N[item_L[blind_L]]
            opening = row_N[dropped_N], start_N[dropped_N] - 1  # its mark loses sight as well
            first_BT[opening] = open_N[dropped_N]
    return Layout(modality_BT, first_BT, last_BT)
