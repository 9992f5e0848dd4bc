import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_block_mask

from chiasm.batch.streams import TEXT
from chiasm.model.mask import BLOCK, POSITIONS_AT_ONCE, IntervalMask


def random_mask(seed: int, num_positions: int, num_rows: int = 2) -> IntervalMask:
    """Documents of random lengths with random bidirectional runs, padding at the end."""
    random = np.random.default_rng(seed)
    first = np.empty((num_rows, num_positions), np.int64)
    last = np.empty_like(first)
    for row in range(num_rows):
        query = np.arange(num_positions)
        first[row], last[row] = query, query  # padding sees itself
        begin, filled = 0, int(random.integers(1, num_positions + 1))
        while begin < filled:
            end = min(filled, begin + int(random.integers(1, 400)))
            first[row, begin:end] = begin
            image = begin + int(random.integers(0, end - begin))
            image_end = min(end, image + int(random.integers(1, 300)))
            last[row, image:image_end] = image_end - 1
            begin = end
    return IntervalMask(torch.from_numpy(first), torch.from_numpy(last), num_positions)


def test_the_dense_mask_is_what_the_spans_mean(naive):
    first = [[7, 8], naive.Picture(1, 2), [9]]
    second = [naive.Picture(1, 1, dropped=True), [7], naive.Series(2)]
    third = [[9], naive.Series(2, dropped=True), naive.Series(1)]
    batch = naive.pack([[first, second, third]], 40)
    mask = IntervalMask.from_batch(batch).dense_BTS[0]
    latent = (batch.modality_BT[0] > TEXT).tolist()
    document = batch.document_BT[0].tolist()
    # bod t t boi v v eoi t eod | bod boi v eoi t bos s s eos eod | bod t bos s s eos bos s eos eod
    item_of = {4: 0, 5: 0, 11: 1, 15: 2, 16: 2, 22: 3, 23: 3, 26: 4}
    assert [query for query in range(40) if latent[query]] == list(item_of)
    blind = {10: 10, 11: 10, 21: 21, 22: 21, 23: 21}  # dropped items and their marks, since when
    for query in range(40):
        for key in range(40):
            same_document = document[query] == document[key] != -1
            same_item = latent[query] and latent[key] and item_of[query] == item_of[key]
            expected = same_document and (key <= query or same_item)
            if query in blind:  # they see nothing before the mark
                expected = expected and key >= blind[query]
            if document[query] == -1:
                expected = key == query
            assert bool(mask[query, key]) == expected, (query, key)


def test_the_additive_mask_says_the_same_as_the_dense_one(naive):
    mask = IntervalMask.from_batch(naive.random_batch(1))
    assert torch.equal(mask.additive_B1TS[:, 0] == 0, mask.dense_BTS)
    assert torch.equal(mask.additive_B1TS[:, 0] == float("-inf"), ~mask.dense_BTS)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_positions=st.integers(1, 1100))
def test_block_tables_agree_with_the_dense_mask(seed, num_positions):
    mask = random_mask(seed, num_positions)
    tail = -num_positions % BLOCK
    dense = torch.nn.functional.pad(mask.dense_BTS, (0, tail, 0, tail))
    blocks = dense.unflatten(1, (-1, BLOCK)).unflatten(3, (-1, BLOCK)).transpose(2, 3)
    touched, full = mask.block_tables()
    assert not (blocks.flatten(-2).any(-1) & ~touched).any(), "a block with pairs is skipped"
    assert not (full & ~blocks.flatten(-2).all(-1)).any(), "a full block lacks a pair"
    whole = blocks.flatten(-2).all(-1)
    assert torch.equal(full, whole), "a block that is full is not known to be"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_positions=st.integers(1, 900))
def test_the_block_mask_lists_what_the_tables_say(seed, num_positions):
    mask = random_mask(seed, num_positions)
    touched, full = mask.block_tables()
    block_mask = mask.block_mask
    for count, index, expected in (
        (block_mask.kv_num_blocks, block_mask.kv_indices, touched & ~full),
        (block_mask.full_kv_num_blocks, block_mask.full_kv_indices, full),
    ):
        listed = torch.zeros_like(expected)
        for row, query in np.ndindex(*count.shape[0::2]):
            listed[row, query, index[row, 0, query, : count[row, 0, query]].long()] = True
        assert torch.equal(listed, expected)


def test_the_block_mask_covers_what_torch_itself_finds():
    mask = random_mask(3, 640)
    first, last = mask.first_BT, mask.last_BT
    reference = create_block_mask(
        lambda b, h, q, k: (k >= first[b, q]) & (k <= last[b, q]), 2, None, 640, 640, device="cpu"
    )
    assert not ((reference.to_dense() == 1) & (mask.block_mask.to_dense() == 0)).any()
    assert torch.equal(reference.full_kv_num_blocks, mask.block_mask.full_kv_num_blocks)


def test_the_mask_function_reads_pairs():
    mask = random_mask(5, 200)
    sees = mask.block_mask.mask_mod
    row, query, key = (torch.tensor(x) for x in (1, 17, 3))
    assert bool(sees(row, torch.tensor(0), query, key)) == bool(mask.dense_BTS[1, 17, 3])


def test_attend_is_the_softmax_over_seen_keys_of_the_group():
    q, k, v = torch.randn(2, 5, 4, 8), torch.randn(2, 7, 2, 8), torch.randn(2, 7, 2, 6)
    first, last = torch.randint(0, 3, (2, 5)), torch.randint(3, 7, (2, 5))
    expected = torch.empty(2, 5, 4, 6)
    for row, query, head in torch.cartesian_prod(*(torch.arange(n) for n in (2, 5, 4))).tolist():
        keys = slice(int(first[row, query]), int(last[row, query]) + 1)
        score = k[row, keys, head // 2] @ q[row, query, head] / math.sqrt(8)
        expected[row, query, head] = score.softmax(0) @ v[row, keys, head // 2]
    mask = IntervalMask(first, last, 7, held_B=torch.tensor([2, 2]))
    torch.testing.assert_close(mask.attend(q, k, v), expected)


def test_behind_a_cache_rows_attend_some_at_a_time_to_the_keys_that_they_need():
    held_B = torch.tensor([3, 40, 0, 9, 17])
    num_queries, num_keys = 200, 256
    rows_at_once = POSITIONS_AT_ONCE // num_queries
    assert 1 < rows_at_once < len(held_B)
    own_BT = held_B.unsqueeze(1) + torch.arange(num_queries)
    mask = IntervalMask(own_BT // 2, own_BT, num_keys, held_B)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(5, num_queries, 4, 8, generator=generator)
    k, v = torch.randn(2, 5, num_keys, 2, 8, generator=generator)
    for row, held in enumerate(held_B.tolist()):  # what is not held or new is never read
        k[row, held + num_queries :] = v[row, held + num_queries :] = 1e6
    k_BSHK, v_BSHK = (each.repeat_interleave(2, dim=2).double() for each in (k, v))
    score = torch.einsum("bthk,bshk->bhts", q.double(), k_BSHK) / 8**0.5
    weight = score.masked_fill(~mask.dense_BTS.unsqueeze(1), -torch.inf).softmax(-1)
    expected = torch.einsum("bhts,bshk->bthk", weight, v_BSHK)
    torch.testing.assert_close(mask.attend(q, k, v), expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 5, 40])
def test_a_narrower_mask_leaves_out_what_lies_farther_back(naive, window):
    """Whole rows, whichever kernel serves them, and the last five positions behind a cache."""
    batch = naive.random_batch(3)
    whole = IntervalMask.from_batch(batch)
    rows, width = whole.first_BT.shape
    back_TS = torch.arange(width).unsqueeze(1) - torch.arange(width)
    seen_BTS = whole.dense_BTS & (back_TS < window)
    q, k, v = (torch.randn(rows, width, heads, 8) for heads in (4, 2, 2))
    held_B = torch.full((rows,), width - 5)
    cached = IntervalMask(whole.first_BT[:, -5:], whole.last_BT[:, -5:], width, held_B)
    for mask, queries in ((whole, slice(None)), (cached, slice(-5, None))):
        narrower = mask.within(window)
        assert torch.equal(narrower.dense_BTS, seen_BTS[:, queries])
        assert narrower is mask.within(window)  # made once for all layers
        expected = torch.nn.functional.scaled_dot_product_attention(
            *(x.transpose(1, 2) for x in (q[:, queries], k, v)),
            attn_mask=seen_BTS[:, None, queries],
            enable_gqa=True,
        )
        got = narrower.attend(q[:, queries], k, v)
        torch.testing.assert_close(got, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("num_positions", [256, 640])
def test_flex_attention_matches_the_dense_reference(num_positions):
    mask = random_mask(7, num_positions)
    mask = IntervalMask(mask.first_BT.cuda(), mask.last_BT.cuda(), num_positions)
    generator = torch.Generator("cuda").manual_seed(0)
    shapes = [(2, num_positions, heads, 32) for heads in (4, 2, 2)]
    inputs = [torch.randn(s, device="cuda", generator=generator) for s in shapes]
    weight = torch.randn(shapes[0], device="cuda", generator=generator)
    results = []
    for held_B in (None, torch.zeros(2, dtype=torch.int64, device="cuda")):  # blocks, then dense
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = replace(mask, held_B=held_B).attend(*leaves)
        (y * weight).sum().backward()
        results.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
