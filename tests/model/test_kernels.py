import math

import pytest
import torch

from chiasm.model import IntervalMask
from chiasm.model.kernels import AttentionMask


def test_attend_is_the_softmax_over_seen_keys_of_the_group():
    q, k, v = torch.randn(2, 5, 4, 8), torch.randn(2, 7, 2, 8), torch.randn(2, 7, 2, 6)
    first, last = torch.randint(0, 3, (2, 5)), torch.randint(3, 7, (2, 5))
    expected = torch.empty(2, 5, 4, 6)
    for row, query, head in torch.cartesian_prod(*(torch.arange(n) for n in (2, 5, 4))).tolist():
        keys = slice(int(first[row, query]), int(last[row, query]) + 1)
        score = k[row, keys, head // 2] @ q[row, query, head] / math.sqrt(8)
        expected[row, query, head] = score.softmax(0) @ v[row, keys, head // 2]
    mask = AttentionMask(IntervalMask(first, last, 7), held_B=torch.tensor([2, 2]))
    torch.testing.assert_close(mask.attend(q, k, v), expected)


@pytest.mark.parametrize("window", [1, 5, 40])
def test_a_narrower_mask_leaves_out_what_lies_farther_back(naive, window):
    """Whole rows, whichever kernel serves them, and the last five positions behind a cache."""
    batch = naive.random_batch(3)
    whole = IntervalMask.from_batch(batch)
    rows, width = whole.first_BT.shape
    back_TS = torch.arange(width).unsqueeze(1) - torch.arange(width)
    seen_BTS = whole.dense_BTS & (back_TS < window)
    q, k, v = (torch.randn(rows, width, heads, 8) for heads in (4, 2, 2))
    last = IntervalMask(whole.first_BT[:, -5:], whole.last_BT[:, -5:], width)
    cached = AttentionMask(last, held_B=torch.full((rows,), width - 5))
    for mask, queries in ((AttentionMask(whole), slice(None)), (cached, slice(-5, None))):
        narrower = mask.within(window)
        assert torch.equal(narrower.intervals.dense_BTS, seen_BTS[:, queries])
        assert narrower is mask.within(window)  # made once for all layers
        expected = torch.nn.functional.scaled_dot_product_attention(
            *(x.transpose(1, 2) for x in (q[:, queries], k, v)),
            attn_mask=seen_BTS[:, None, queries],
            enable_gqa=True,
        )
        got = narrower.attend(q[:, queries], k, v)
        torch.testing.assert_close(got, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)
