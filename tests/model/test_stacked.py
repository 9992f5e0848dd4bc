"""Decoders that make their passes together against the same decoders alone."""

import copy

import numpy as np
import pytest
import torch

from chiasm.batch.packed import PackedBatch
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.stacked import DecoderStack
from chiasm.model.windowed import LARGEST


def inputs_of(naive, batch: PackedBatch, z: dict, seed: int) -> tuple[DecoderInput, IntervalMask]:
    times = naive.times(batch, seed)
    return DecoderInput.from_batch(batch, z, times), IntervalMask.from_batch(batch)


def scalar(logits: torch.Tensor, outputs: list[torch.Tensor]) -> torch.Tensor:
    """Something of which every number is a part, and no two in the same way."""
    parts = [own * torch.linspace(0.5, 2.0, own.numel()).view_as(own) for own in (logits, *outputs)]
    return torch.stack([(own + own.square()).sum() for own in parts]).sum()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"experts": "dense"},
        {"attention_weights": "modality"},
        {"experts": "dense", "attention_weights": "modality", "qk_norm": False},
        {"item_positions": "sinusoidal", "query_heads": 2},
    ],
)
@pytest.mark.parametrize("positions", [64, LARGEST + 100])
def test_each_decoder_gives_what_it_gives_alone(naive, settings, positions):
    decoders = [naive.decoder(0.2, seed, **settings) for seed in range(3)]
    alone = copy.deepcopy(decoders)
    rows = [naive.random_rows(np.random.default_rng(seed), 2, 64) for seed in range(3)]
    if positions > LARGEST:  # a document that no window of which weights are kept holds
        for own in rows:
            own[0] = [[[9, 10] * (LARGEST // 2 + 10)]]
    rows[1] = [[[[9, 10, 11]]], [[[12]]]]  # has no latents
    batches = [naive.pack(own, positions) for own in rows]
    latents = [naive.latents(batch, seed) for seed, batch in enumerate(batches)]
    given = [inputs_of(naive, *each) for each in zip(batches, latents, range(3), strict=True)]
    expected = []
    for decoder, batch, own in zip(alone, batches, given, strict=True):
        x_MD = decoder(*own).flatten(0, 1)
        outputs = [
            decoder.latent_output(name, x_MD[slots.position_L])
            for name, slots in batch.slots.items()
        ]
        expected.append((decoder.text_logits(x_MD[batch.text_position_R]), outputs))
        scalar(*expected[-1]).backward()

    stack, joined = DecoderStack(decoders), PackedBatch.joined(batches)
    times = {
        n: torch.cat([naive.times(b, s)[n] for s, b in enumerate(batches)]) for n in latents[0]
    }
    z = {name: torch.cat([own[name] for own in latents]) for name in latents[0]}
    x_MD, row_P = stack.forward(
        DecoderInput.from_batch(joined, z, times), IntervalMask.from_batch(joined)
    )
    counts = [batch.num_text_targets for batch in batches]
    logits = stack.text_logits(x_MD[row_P[joined.text_position_R]], counts).split(counts)
    outputs = []
    for name, slots in joined.slots.items():
        counts = [len(batch.slots[name].item_L) for batch in batches]
        found = stack.latent_output(name, x_MD[row_P[slots.position_L]], counts)
        outputs.append(found.split(counts))
    found = list(zip(logits, zip(*outputs, strict=True), strict=True))
    torch.stack([scalar(text, list(own)) for text, own in found]).sum().backward()
    stack.hand_over()
    for decoder, lone, own, wanted in zip(decoders, alone, found, expected, strict=True):
        for got, there in zip((own[0], *own[1]), (wanted[0], *wanted[1]), strict=True):
            torch.testing.assert_close(got, there, atol=2e-5, rtol=2e-5)
        wanted_gradients = {name: own.grad for name, own in lone.named_parameters()}
        for name, parameter in decoder.named_parameters():
            scale = float(wanted_gradients[name].norm()) + 1e-3
            error = float((parameter.grad - wanted_gradients[name]).norm())
            assert error < 1e-5 * scale, name


def test_decoders_stay_those_of_their_optimizers(naive):
    """Weights are shared both ways, and each has the gradients of all passes since."""
    decoders = [naive.decoder(0.2, seed) for seed in range(2)]
    before = [own.text_head.weight.detach().clone() for own in decoders]
    stack = DecoderStack(decoders)
    for own, kept in zip(decoders, before, strict=True):
        assert torch.equal(own.text_head.weight, kept)
    with torch.no_grad():
        decoders[1].text_head.weight.mul_(2.0)
    x_RD = torch.ones(2, 32)
    single = [stack.text_logits(x_RD, [1, 1]) for _ in range(2)]
    torch.testing.assert_close(
        single[0][0], decoders[0].text_logits(decoders[0].final_norm(x_RD[:1], x_RD))[0]
    )
    for own in single:
        own.sum().backward()
    stack.hand_over()
    both = [own.text_head.weight.grad.clone() for own in decoders]
    for own in decoders:
        own.zero_grad()
    stack.text_logits(x_RD, [1, 1]).sum().backward()
    stack.hand_over()
    for own, twice in zip(decoders, both, strict=True):
        torch.testing.assert_close(twice, 2 * own.text_head.weight.grad)
