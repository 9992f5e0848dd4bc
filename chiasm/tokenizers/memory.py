"""Latents of items that a tokenizer has encoded before.

Shape suffixes: B items, P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
import xxhash
from torch import Tensor


class LatentMemory:
    """Keeps the latents of items on a CPU, the latest ones up to ``most_bytes``."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[Hashable, Tensor] = {}
        self._num_bytes = 0

    def encode(self, items_B: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns ``encode(items_B)``, [B, P, C], of which only what is not kept is computed."""
        if items_B.device.type != "cpu":
            return encode(items_B)
        keys = [_key(item) for item in items_B]
        new = {key: number for number, key in enumerate(keys) if key not in self._kept}
        if new:
            numbers = list(new.values())
            for key, latents_PC in zip(new, encode(items_B[numbers]), strict=True):
                self._kept[key] = latents_PC.clone()
                self._num_bytes += latents_PC.nbytes
        found_BPC = torch.stack([self._kept[key] for key in keys])
        while self._num_bytes > self._most_bytes:
            self._num_bytes -= self._kept.pop(next(iter(self._kept))).nbytes
        return found_BPC


def _key(item: Tensor) -> Hashable:
    content = item.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return item.shape, item.dtype, xxhash.xxh3_128_digest(content)
