"""The head in the middle against what a shorter model and a plain loop over blocks give."""

import pytest
import torch
import torch.nn.functional as F

from chiasm.model.decoder import Decoder
from chiasm.model.elementwise import EPSILON
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.work import FORWARD_AND_BACKWARD, Work

MODELS = [
    {},
    {"experts": "dense"},
    {"attention_weights": "modality"},
    {"time_conditioning": "adaptive"},
    {"experts": "moe", "moe": {"num_experts": 8}},
]


def read(naive, batch) -> tuple[DecoderInput, IntervalMask]:
    times = naive.times(batch, 1)
    return DecoderInput.from_batch(batch, naive.latents(batch), times), IntervalMask.from_batch(
        batch
    )


def shorter(decoder: Decoder, depth: int) -> Decoder:
    """A model of the first blocks alone, with their weights and first norm of the inner head."""
    settings = decoder.settings.model_copy(update={"depth": depth, "inner": None})
    own = Decoder(settings, vocabulary=decoder.vocabulary, streams=decoder.shapes)
    weights = decoder.state_dict()
    for name in list(own.state_dict()):
        if name.startswith(("latent_head.", "final_norm.")):
            weights[name] = weights[f"inner_head.{name.replace('final_', '')}"]
    own.load_state_dict({name: weights[name] for name in own.state_dict()})
    return own


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("block", [1, 2])
def test_it_is_the_last_head_of_a_model_that_ends_there(naive, model, block):
    decoder = naive.decoder(0.1, depth=3, inner={"block": block}, **model)
    batch = naive.random_batch(2)
    passed = decoder.forward_with_routing(*read(naive, batch), behind=(block,))
    lone = shorter(decoder, block)
    x_MD = lone(*read(naive, batch)).flatten(0, 1)
    for name, slots in batch.slots.items():
        found = decoder.inner_head(name, passed.behind[0].flatten(0, 1)[slots.position_L])
        expected = lone.latent_output(name, x_MD[slots.position_L])
        assert len(expected) > 0
        assert float(expected.detach().abs().max()) > 0.1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_asking_for_states_changes_no_bit_of_a_pass(naive, model):
    decoder, batch = naive.decoder(0.1, depth=3, **model), naive.random_batch(3)
    plain = decoder(*read(naive, batch))
    passed = decoder.forward_with_routing(*read(naive, batch), behind=(1, 3))
    assert torch.equal(passed.x_BTD, plain)
    first, last = passed.behind
    torch.testing.assert_close(decoder.final_norm(last, batch.modality_BT), plain)
    assert not torch.allclose(first, last)
    assert decoder.forward_with_routing(*read(naive, batch)).behind == []


def test_a_projector_is_two_layers_behind_a_norm(naive):
    decoder = naive.decoder(0.1, depth=2, inner={"block": 1, "target": "average"})
    head, x_LD = decoder.inner_head, torch.randn(5, 32)
    assert not decoder.inner_head.guides
    for name in naive.streams.names:
        own = head.projector[name]
        normed = x_LD * (x_LD.square().mean(1, keepdim=True) + EPSILON).rsqrt() * head.norm.gain
        expected = F.silu(normed @ own.hidden.weight.T) @ own.out.weight.T
        torch.testing.assert_close(head(name, x_LD), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("target", ["latents", "average"])
def test_first_weights_of_everything_else_are_as_without_it(naive, target):
    own, plain = naive.decoder(inner={"block": 1, "target": target}), naive.decoder()
    there = dict(own.named_parameters())
    for name, weight in plain.named_parameters():
        assert torch.equal(there.pop(name), weight)
    assert all(name.startswith("inner_head.") for name in there)
    heads = {name: weight for name, weight in there.items() if name.endswith(".weight")}
    assert len(heads) == (2 if target == "latents" else 4)
    assert all((not weight.any()) == (target == "latents") for weight in heads.values())


def test_its_products_are_counted_and_a_step_has_the_averages_pass(naive):
    batch = naive.random_batch(0)
    work = Work.useful(batch)
    plain = naive.decoder(depth=3)
    rows = {"image": 4, "series": 3}
    own = naive.decoder(depth=3, inner={"block": 1})
    heads = sum(2 * 32 * rows[name] * number for name, number in work.latent_rows.items())
    assert heads > 0
    assert own.forward_flops(work) - plain.forward_flops(work) == heads
    assert own.training_flops(work) == FORWARD_AND_BACKWARD * own.forward_flops(work)
    average = naive.decoder(depth=3, inner={"block": 1, "target": "average"})
    projectors = 2 * 2 * 32 * 32 * sum(work.latent_rows.values())
    assert average.forward_flops(work) - plain.forward_flops(work) == projectors
    blocks = plain.forward_flops(work) - heads - 2 * 32 * naive.vocabulary * work.text_rows
    expected = FORWARD_AND_BACKWARD * average.forward_flops(work) + blocks
    assert average.training_flops(work) == expected
