"""States of the decoder behind an item: what it makes of a picture or a sound, for probes.

Shape suffixes: N items, B of them at once, T positions, D width, F features of one item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.documents import Continuous
from chiasm.inference.history import History
from chiasm.inference.passage import prompt_passage
from chiasm.inference.pretrained import Pretrained

ITEMS_AT_ONCE = 64


@torch.inference_mode()
def states(pretrained: Pretrained, items: Sequence[Continuous]) -> np.ndarray:
    """Returns the states behind items of one stream, each the first of a document: float32 [N, F].

    They are the hidden vectors after every block, side by side, at the mark that closes the item:
    the first position that has seen all of it, whatever text follows. F = blocks x D.

    Raises:
        UserError: the model has no such stream, or an item cannot be read.
    """
    after: list[Tensor] = []

    def keep(block: Any, inputs: Any, output: tuple[Tensor, Any]) -> None:
        x_BTD, _ = output
        after.append(x_BTD[:, -1].float().cpu())

    hooks = [block.register_forward_hook(keep) for block in pretrained.decoder.blocks]
    try:
        found = []
        for begin in range(0, len(items), ITEMS_AT_ONCE):
            after.clear()
            _read(pretrained, items[begin : begin + ITEMS_AT_ONCE])
            found.append(torch.cat(after, dim=1))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found).numpy()


def _read(pretrained: Pretrained, items: Sequence[Continuous]) -> None:
    decoder, tokenizers = pretrained.decoder, pretrained.tokenizers
    passages = [prompt_passage((item,), pretrained.text_tokenizer, tokenizers) for item in items]
    latents = tokenizers.encode_spans(items, decoder.device)
    history = History(decoder, len(items), len(passages[0]))
    history.read(range(len(items)), passages, latents)
