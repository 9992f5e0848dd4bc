"""From logits to the next token: greedy, temperature, top-k.

Every random number belongs to a request: it is a function of (the request's seed, what it is for,
how many of the kind the request has drawn before), never of the batch or of process state.

Shape suffixes: B rows, V vocabulary, P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape

TOKEN, ITEM_NOISE, GIVEN_NOISE, MADE_NOISE = 1, 2, 3, 4
"""Purposes of a request's random numbers; part of their key."""


def token_draw(seed: int, token_number: int) -> float:
    """Returns the uniform number in [0, 1) that chooses a request's ``token_number``-th token."""
    return float(np.random.default_rng([seed, TOKEN, token_number]).random())


def item_noise(seed: int, number: int, shape: StreamShape, purpose: int = ITEM_NOISE) -> Tensor:
    """Returns the noise of a request's ``number``-th item: standard normal, float32 [P, C].

    That of ``purpose`` ITEM_NOISE it is made from; with that of GIVEN_NOISE an imagined item of the
    prompt is read, and with that of MADE_NOISE one that was made before.
    """
    generator = np.random.default_rng([seed, purpose, number, *shape.key])
    size = (shape.num_tokens, shape.channels)
    return torch.from_numpy(generator.standard_normal(size, dtype=np.float32))


def choose_tokens(
    logits_BV: Tensor, draw_B: list[float], temperature: float, top_k: int | None
) -> list[int]:
    """Returns one token per row; logits are minus infinity where a token is not allowed.

    At temperature 0 it is the most probable one; at 1 the uniform numbers ``draw_B`` sample from
    the model's own distribution, restricted to the ``top_k`` most probable tokens if not None.
    Sampling inverts the cumulative distribution, in float64 and in the order of the vocabulary, so
    that rounding of the logits changes a choice only where a draw falls on the very border.
    """
    if temperature == 0:
        return logits_BV.argmax(dim=-1).tolist()
    scores_BV = logits_BV.double() / temperature
    if top_k is not None and top_k < scores_BV.shape[-1]:
        least_B1 = scores_BV.topk(top_k, dim=-1).values[:, -1:]
        scores_BV = scores_BV.masked_fill(scores_BV < least_B1, -torch.inf)
    cumulative_BV = scores_BV.softmax(dim=-1).cumsum(dim=-1)
    draw_B1 = torch.tensor(draw_B, dtype=torch.float64, device=logits_BV.device).unsqueeze(1)
    # The sum may end a rounding error away from 1: scaled, a draw below 1 always finds a token.
    draw_B1 = draw_B1 * cumulative_BV[:, -1:]
    return torch.searchsorted(cumulative_BV, draw_B1, right=True).squeeze(1).tolist()
