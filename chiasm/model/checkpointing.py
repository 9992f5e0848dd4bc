"""Activation checkpointing: which activations of a block are kept for the backward pass, and which
are computed again in it (arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from chiasm.model.settings import ActivationCheckpointing

_aten = torch.ops.aten
_KEPT = [
    _aten.mm.default,
    _aten._grouped_mm.default,
    _aten._scaled_dot_product_cudnn_attention.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
]
"""Operations whose results are kept where checkpointing is selective: products, and attention."""


LARGE_LOGITS_BYTES = 2**30
"""Logits of all positions of a batch, in float32, from which on memory may be worth time."""


def automatic(device: str, logits: int, head: int, blocks: int) -> ActivationCheckpointing:
    """Returns "full" on a CPU where the vocabulary is large and its head has twice the products of
    the blocks, so that it costs a ninth of a step's; else "none".

    ``logits``: those of a batch; ``head`` and ``blocks``: parameters that a position uses.
    """
    large = 4 * logits >= LARGE_LOGITS_BYTES
    return "full" if large and device == "cpu" and head >= 2 * blocks else "none"


def calling(mode: ActivationCheckpointing) -> Callable[..., Any]:
    """Returns what calls a block, its first argument, with its inputs; bits are those of "none"."""
    if mode == "none":
        return lambda block, *inputs: block(*inputs)
    again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    if mode == "full":
        return again
    return partial(again, context_fn=partial(create_selective_checkpoint_contexts, _KEPT))
