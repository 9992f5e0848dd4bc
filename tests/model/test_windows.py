from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.batch.streams import PADDING
from chiasm.model.mask import IntervalMask
from chiasm.model.windows import Windows


def batches(naive):
    """Packed rows of short documents with padding, images, dropped conditions."""
    for seed in range(6):
        random = np.random.default_rng(seed)
        num_positions = int(random.integers(150, 300))
        rows = naive.random_rows(random, 3, num_positions)
        rows[1] = rows[1][:2]  # a row that is mostly padding
        yield naive.pack(rows, num_positions)


def masks(naive):
    return map(IntervalMask.from_batch, batches(naive))


def test_windows_give_the_same_outputs_and_gradients_as_the_dense_mask(naive):
    for mask in masks(naive):
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


def test_sorted_rows_without_padding_give_the_outputs_and_gradients_of_the_dense_mask(naive):
    for batch in batches(naive):
        mask, filled_M = IntervalMask.from_batch(batch), (batch.modality_BT != PADDING).flatten()
        order_M = filled_M.nonzero()[torch.randperm(int(filled_M.sum()))].squeeze(1)
        heads = torch.randn(*mask.first_BT.shape, 4 + 2 * 2, 8)
        weight_MHK = torch.randn(len(order_M), 4, 8)
        leaf = heads.clone().requires_grad_()
        dense = replace(mask, held_B=torch.zeros(3, dtype=torch.int64))
        y = dense.attend(*leaf.split((4, 2, 2), dim=2)).flatten(0, 1)[order_M]
        (y * weight_MHK).sum().backward()
        rows = heads.flatten(0, 1)[order_M].requires_grad_()
        own = replace(mask, order_M=order_M).attend(*rows.unsqueeze(0).split((4, 2, 2), dim=2))
        (own[0] * weight_MHK).sum().backward()
        torch.testing.assert_close(own[0], y, atol=1e-5, rtol=1e-5)
        expected = leaf.grad.flatten(0, 1)[order_M]
        torch.testing.assert_close(rows.grad, expected, atol=1e-5, rtol=1e-5)


def test_windows_save_pairs(naive):
    for mask in masks(naive):
        groups = Windows.of(mask.first_BT, mask.last_BT).intervals
        pairs = sum(first.numel() * first.shape[1] for first, _ in groups)
        assert pairs < 0.7 * mask.dense_BTS.numel()


@pytest.mark.parametrize("num_positions", [1, 31, 64, 200])
def test_a_row_of_one_document_is_one_window(num_positions):
    last = torch.arange(num_positions).expand(2, -1)
    (interval,) = Windows.of(torch.zeros_like(last), last).intervals
    assert interval.shape == (2, 2, num_positions)
