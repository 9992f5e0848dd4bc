from dataclasses import replace

import pytest
import torch

from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask

VARIANTS = {
    "modality": {},
    "shared": {"experts": "dense"},
    "mixture of transformers": {"attention_weights": "modality"},
    "mixture of experts": {"experts": "moe", "moe": {"num_experts": 8, "shared_experts": "global"}},
    "experts of each modality": {
        "experts": "moe",
        "moe": {"num_experts": 8, "shared_experts": "modality"},
    },
    "adaptive": {"time_conditioning": "adaptive"},
}


@pytest.fixture(scope="module", params=VARIANTS)
def decoder(naive, request) -> Decoder:
    return naive.decoder(noise=0.1, seed=1, depth=3, **VARIANTS[request.param])


def whole(naive, documents):
    """One document per row, its latents clean."""
    batch = naive.pack([[spans] for spans in documents], 32)
    return batch, DecoderInput.from_batch(batch, naive.latents(batch), naive.times(batch))


def piece(inputs: DecoderInput, begin: int, end: int, **changes) -> DecoderInput:
    """Positions begin..end of one row, with the latents that lie there; streams without any are
    left out."""
    latents = {}
    for name, own in inputs.latents.items():
        inside_L = (own.position_L >= begin) & (own.position_L < end)
        if inside_L.any():
            part = type(own)(*(None if of is None else of[inside_L] for of in own))
            latents[name] = part._replace(position_L=part.position_L - begin, **changes)
    return DecoderInput(
        ids_BT=inputs.ids_BT[:, begin:end],
        modality_BT=inputs.modality_BT[:, begin:end],
        position_BT=inputs.position_BT[:, begin:end],
        latents=latents,
    )


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("first", ["image", "series"])
def test_what_follows_an_item_is_the_same_with_and_without_cache(naive, decoder, first, dropped):
    kinds = [naive.Picture(2, 3, dropped=dropped), naive.Series(4)]
    one, other = kinds if first == "image" else kinds[::-1]
    batch, inputs = whole(naive, [[[9, 10], one, [11, 12, 13], other, [14]]])
    expected = decoder(inputs, IntervalMask.from_batch(batch))
    cache = decoder.new_cache(rows=1, capacity=32)

    def read(begin, end, *, held=True, **changes):
        ends = batch.first_BT[:, begin:end], batch.last_BT[:, begin:end]
        mask = IntervalMask(*ends, 32, cache.lengths_B)
        x = decoder(piece(inputs, begin, end, **changes), mask, cache)
        if held:
            torch.testing.assert_close(x, expected[:, begin:end], atol=1e-5, rtol=1e-5)
            cache.lengths_B = torch.tensor([end])

    here = 0
    items = [batch.slots[name] for name in (first, "series" if first == "image" else "image")]
    for slots, channels in zip(items, (s.channels for s in streams(naive, first)), strict=True):
        start, num_tokens = int(slots.start_N), int(slots.tokens_N)
        for position in range(here, start):
            read(position, position + 1)
        here = start + num_tokens
        for time in (0.3, 0.6):  # solver steps: written, never held
            time_L, z_LC = torch.full((num_tokens,), time), torch.randn(num_tokens, channels)
            read(start, here, held=False, time_L=time_L, z_LC=z_LC)
        read(start, here)  # the finished item at flow time 1
    read(here, batch.num_filled)
    assert cache.lengths_B.tolist() == [batch.num_filled]


def streams(naive, first: str):
    """Those of the batch, the named one first."""
    return sorted(naive.streams, key=lambda shape: shape.name != first)


@torch.no_grad()
def test_an_unfinished_image_left_in_the_cache_would_be_noticed(naive, decoder):
    """The same as above with the last solver step held: TRAPS 1, seen failing."""
    batch, inputs = whole(naive, [[[9, 10], naive.Picture(), [11, 12, 13]]])
    expected = decoder(inputs, IntervalMask.from_batch(batch))
    cache = decoder.new_cache(rows=1, capacity=32)
    end = int(batch.slots["image"].start_N[0] + batch.slots["image"].tokens_N[0])
    noisy = torch.full_like(inputs.latents["image"].time_L, 0.3)
    mask = IntervalMask(batch.first_BT[:, :end], batch.last_BT[:, :end], 32, cache.lengths_B)
    decoder(piece(inputs, 0, end, time_L=noisy), mask, cache)
    cache.lengths_B = torch.tensor([end])
    ends = batch.first_BT[:, end : end + 3], batch.last_BT[:, end : end + 3]
    mask = IntervalMask(*ends, 32, cache.lengths_B)
    x = decoder(piece(inputs, end, end + 3), mask, cache)
    assert float((x - expected[:, end : end + 3]).abs().max()) > 1e-4


@torch.no_grad()
def test_rows_of_different_lengths_continue_side_by_side(naive, decoder):
    batch, inputs = whole(naive, [[[9, 10, 11, 12, 13]], [[14, 15]]])
    expected = decoder(inputs, IntervalMask.from_batch(batch))
    cache = decoder.new_cache(rows=2, capacity=16)
    held_B = torch.tensor([5, 2])
    query_BT = torch.arange(5).expand(2, 5)
    mask = IntervalMask(torch.zeros_like(query_BT), query_BT, 16, cache.lengths_B)
    decoder(piece(inputs, 0, 5), mask, cache)
    cache.lengths_B = held_B
    here_B1 = held_B.unsqueeze(1)
    step = replace(
        piece(inputs, 0, 1),
        ids_BT=inputs.ids_BT.gather(1, here_B1),
        position_BT=inputs.position_BT.gather(1, here_B1),
    )
    mask = IntervalMask(torch.zeros_like(here_B1), here_B1, 16, cache.lengths_B)
    x = decoder(step, mask, cache)
    for row, here in enumerate(held_B.tolist()):
        torch.testing.assert_close(x[row, 0], expected[row, here], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_same_history_gives_the_same_logits_twice(naive, decoder):
    _, inputs = whole(naive, [[[9, 10], naive.Picture(), [11]]])
    logits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        cache = decoder.new_cache(rows=1, capacity=32)
        batch, _ = whole(naive, [[[9, 10], naive.Picture(), [11]]])
        mask = replace(IntervalMask.from_batch(batch), held_B=cache.lengths_B)
        logits.append(decoder.text_logits(decoder(inputs, mask, cache)))
    assert torch.equal(*logits)


def test_a_full_cache_says_so(naive, decoder):
    batch, inputs = whole(naive, [[[9, 10]]])
    cache = decoder.new_cache(rows=1, capacity=20)
    with pytest.raises(ValueError, match="capacity of 20 slots"):
        decoder(inputs, IntervalMask(batch.first_BT, batch.last_BT, 20, cache.lengths_B), cache)
