from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.model.mask import IntervalMask
from chiasm.model.windows import Windows


def masks(naive):
    """Packed rows of short documents with padding, images, dropped conditions."""
    for seed in range(6):
        random = np.random.default_rng(seed)
        num_positions = int(random.integers(150, 300))
        rows = naive.random_rows(random, 3, num_positions)
        rows[1] = rows[1][:2]  # a row that is mostly padding
        yield IntervalMask.from_batch(naive.pack(rows, num_positions))


def test_windows_give_the_same_outputs_and_gradients_as_the_dense_mask(naive):
    for mask in masks(naive):
        assert Windows.of(mask.first_BT, mask.last_BT) is not None
        heads = torch.randn(*mask.first_BT.shape, 4 + 2 * 2, 8)
        weight = torch.randn(*mask.first_BT.shape, 4, 8)
        results = []
        for dense in (True, False):
            leaf = heads.clone().requires_grad_()
            held_B = torch.zeros(3, dtype=torch.int64) if dense else None
            y = replace(mask, held_B=held_B).attend(*leaf.split((4, 2, 2), dim=2))
            (y * weight).sum().backward()
            results.append((y.detach(), leaf.grad))
        for expected, got in zip(*results, strict=True):
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_windows_save_pairs(naive):
    for mask in masks(naive):
        groups = Windows.of(mask.first_BT, mask.last_BT).intervals
        pairs = sum(first.numel() * first.shape[1] for first, _ in groups)
        assert pairs < 0.7 * mask.dense_BTS.numel()


@pytest.mark.parametrize("num_positions", [1, 31, 64, 200])
def test_one_document_in_a_row_is_left_to_the_dense_mask(naive, num_positions):
    last = torch.arange(num_positions).expand(2, -1)
    assert Windows.of(torch.zeros_like(last), last) is None
