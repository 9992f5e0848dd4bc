"""Attention by windows against a loop over queries in float64, values and gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.model.elementwise import EPSILON
from chiasm.model.mask import IntervalMask
from chiasm.model.windowed import LARGEST, attend_windowed


def one_by_one(heads, gain, turn, mask, num_heads):
    """Each query of each head by itself; rows as ``mask.order_M`` has them."""
    num_turned = (heads.shape[1] + num_heads) // 2
    groups = num_turned - num_heads
    x = heads[:, :num_turned]
    if gain is not None:
        x = x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * gain.T[..., None]
    pair, angle = x.unflatten(-1, (-1, 2)), turn.unsqueeze(1).unflatten(-1, (-1, 2))
    x0, x1, cosine, sine = *pair.unbind(-1), *angle.unbind(-1)
    x = torch.stack((x0 * cosine - x1 * sine, x0 * sine + x1 * cosine), -1).flatten(-2)
    order, num_positions = mask.order_M.tolist(), mask.first_BT.shape[1]
    row_of = {position: row for row, position in enumerate(order)}
    outputs = []
    for row, position in enumerate(order):
        begin = position // num_positions * num_positions
        first, last = (int(end.flatten()[position]) for end in (mask.first_BT, mask.last_BT))
        seen = [row_of[begin + key] for key in range(first, last + 1)]
        for head in range(num_heads):
            group = head // (num_heads // groups)
            scores = x[seen, num_heads + group] @ x[row, head] / heads.shape[-1] ** 0.5
            outputs.append(scores.softmax(0) @ heads[seen, num_turned + group])
    return torch.stack(outputs).view(len(order), -1)


@pytest.mark.parametrize(
    ("num_heads", "groups", "width"), [(4, 2, 8), (2, 2, 16), (3, 1, 20), (1, 1, 4)]
)
@pytest.mark.parametrize("gains", ["of each head", "of each position", "none"])
def test_outputs_and_gradients_are_those_of_a_loop(naive, num_heads, groups, width, gains):
    generator = torch.Generator().manual_seed(num_heads)
    rows = naive.random_rows(np.random.default_rng(width), 2, 90)
    batch = naive.pack([[*rows[0], [[9] * 50]], rows[1][:1]], 150)
    order_M = (batch.modality_BT.flatten() > 0).nonzero().squeeze(1)
    order_M = order_M[torch.randperm(len(order_M), generator=generator)]
    mask = replace(IntervalMask.from_batch(batch), order_M=order_M)
    heads = torch.randn(len(order_M), num_heads + 2 * groups, width, generator=generator)
    number = {"of each head": 1, "of each position": len(order_M), "none": 0}[gains]
    gain = torch.randn(num_heads + groups, number, generator=generator) if number else None
    angle = torch.randn(len(order_M), width // 2, generator=generator)
    turn = torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(-2)
    weight = torch.randn(len(order_M), num_heads * width, generator=generator)
    lain = mask.head_rows(heads.unsqueeze(0), num_heads)
    assert len(lain.masks) > 1, "windows of several sizes"
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in (heads, gain) if x is not None]
        given = (*leaves, None)[:2]
        if dtype == torch.float32:
            y = attend_windowed(*given, turn, lain)
        else:
            y = one_by_one(*given, turn.double(), mask, num_heads)
        (y * weight).sum().backward()
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


def test_long_windows_caches_and_other_types_are_left_to_the_general_kernel():
    last = torch.arange(LARGEST + 1).expand(1, -1)
    long = IntervalMask(torch.zeros_like(last), last, LARGEST + 1)
    heads = torch.randn(1, LARGEST + 1, 3, 4)
    assert long.head_rows(heads, 1) is None
    last = last[:, :LARGEST]
    mask, heads = IntervalMask(torch.zeros_like(last), last, LARGEST), heads[:, :LARGEST]
    assert mask.head_rows(heads, 1) is not None
    assert mask.head_rows(heads.double(), 1) is None
    assert mask.head_rows(heads.bfloat16(), 1) is None
    cached = replace(mask, held_B=torch.zeros(1, dtype=torch.int64))
    assert cached.head_rows(heads, 1) is None
