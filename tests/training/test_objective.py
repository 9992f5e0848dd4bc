import math
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chiasm.batch.latents import ImageLatents
from torch.utils.checkpoint import checkpoint

from chiasm.batch.streams import Modality
from chiasm.model import Decoder, DecoderInput, IntervalMask, ModelSettings
from chiasm.training.objective import (
    NOISE_BINS,
    Counts,
    Losses,
    Objective,
    ObjectiveSettings,
)

CHANNELS = 4


@pytest.fixture(scope="module")
def decoder(naive) -> Decoder:
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    decoder = Decoder(settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():  # heads begin at zero: move them
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return decoder


def latents(batch, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(batch.latent_position_L), CHANNELS, generator=generator)


def gradients(decoder, loss) -> list[torch.Tensor]:
    decoder.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in decoder.parameters()]


def test_x_prediction_is_compared_in_velocity_space(naive, decoder):
    """v = (x̂ - z_t) / max(1 - t, 0.05) against the same expression of the truth, by hand."""
    batch = naive.pack([[[[9], naive.Picture(target=False), [8], naive.Picture(1, 2)]]], 24)
    z, noise = latents(batch), latents(batch, 1)
    for t in (0.0, 0.4, 0.97):
        losses = Objective(ObjectiveSettings()).losses_at(
            decoder, batch, ImageLatents(z), noise, torch.tensor([0.2, t])
        )
        time_N = torch.tensor([1.0, t])  # the context image is clean whatever was asked
        z_t = torch.cat((z[:6], (1 - t) * noise[6:] + t * z[6:]))
        x = decoder(
            DecoderInput.from_batch(batch, ImageLatents(z_t), time_N),
            IntervalMask.from_batch(batch),
        )
        x_hat = decoder.latent_output(x.flatten(0, 1)[batch.latent_position_L[6:]])
        error = (x_hat - z[6:]) / max(1 - t, 0.05)
        torch.testing.assert_close(losses.flow_sum, error.square().mean(1).sum())
        assert losses.flow_count == 2


@pytest.mark.parametrize("prediction", ["x", "v", "epsilon"])
@pytest.mark.parametrize("loss_space", ["x", "v", "epsilon"])
def test_a_perfect_prediction_costs_nothing_and_any_other_does(
    naive, decoder, monkeypatch, prediction, loss_space
):
    batch = naive.pack([[[naive.Picture(), naive.Picture()]]], 24)
    z, noise, time_N = latents(batch), latents(batch, 1), torch.tensor([0.01, 0.99])
    objective = Objective(ObjectiveSettings(prediction=prediction, loss_space=loss_space))
    truth = {"x": z, "v": z - noise, "epsilon": noise}[prediction]
    for error, close in ((0.0, True), (1.0, False)):
        monkeypatch.setattr(decoder, "latent_output", lambda x_LD, e=error: truth + e)
        losses = objective.losses_at(decoder, batch, ImageLatents(z), noise, time_N)
        assert (float(losses.flow_sum.detach()) < 1e-6) == close


def test_packed_losses_equal_unpacked_losses(naive, decoder):
    rows = naive.random_rows(np.random.default_rng(3), 2, 80)
    documents = [spans for row in rows for spans in row]
    packed = naive.pack(rows, 80, source_of=lambda row, document: 0)
    unpacked = naive.pack([[d] for d in documents], 64, source_of=lambda row, document: 0)
    z, noise, time_N = latents(packed), latents(packed, 1), torch.rand(len(packed.images))
    results = []
    for batch in (packed, unpacked):
        losses = Objective(ObjectiveSettings()).losses_at(
            decoder, batch, ImageLatents(z), noise, time_N
        )
        total = Objective(ObjectiveSettings()).total(losses, Counts.of([batch]))
        results.append((losses.detach(), gradients(decoder, total)))
    for field in fields(Losses):
        a, b = (getattr(losses, field.name) for losses, _ in results)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4, msg=field.name)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_accumulating_four_batches_equals_one_big_batch(naive, decoder):
    objective = Objective(ObjectiveSettings())
    rows = naive.random_rows(np.random.default_rng(8), 4, 64)
    big = naive.pack(rows, 64)
    z = latents(big)
    counts = Counts.of([big])
    whole = objective.losses(decoder, big, ImageLatents(z), seed=2)
    expected = gradients(decoder, objective.total(whole, counts))
    decoder.zero_grad()
    total, row_L, summed = 0.0, big.images.row_N[big.images.image_L], None
    for number, row in enumerate(rows):
        small = naive.pack([row], 64, numbers=[number])
        part = objective.losses(decoder, small, ImageLatents(z[row_L == number]), seed=2)
        loss = objective.total(part, counts)
        loss.backward()
        total += float(loss.detach())
        summed = part.detach() if summed is None else summed + part.detach()
    for field in fields(Losses):
        # Losses are float32 whatever holds their sums, and other shapes round otherwise.
        torch.testing.assert_close(
            getattr(summed, field.name).double(),
            getattr(whole.detach(), field.name).double(),
            rtol=1.3e-6,
            atol=1e-5,
            msg=field.name,
        )
    expected_total = objective.total(whole.detach(), counts)
    assert total == pytest.approx(float(expected_total), rel=1e-5)
    for parameter, gradient in zip(decoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


def test_sums_and_counts_add_up(naive, decoder):
    batch = naive.random_batch(6, num_rows=6)
    losses = (
        Objective(ObjectiveSettings())
        .losses(decoder, batch, ImageLatents(latents(batch)), seed=0)
        .detach()
    )
    assert losses.text_count == batch.num_text_targets
    assert losses.flow_count == batch.num_flow_targets
    for total, parts in (
        (losses.text_sum, losses.text_sum_S),
        (losses.flow_sum, losses.flow_sum_S),
        (losses.flow_sum, losses.flow_sum_bins),
    ):
        assert float(parts.sum()) == pytest.approx(float(total), rel=1e-5)
    assert losses.flow_count_bins.sum() == losses.flow_count_S.sum() == losses.flow_count
    assert (losses.text_count_S > 0).all()
    targets_N = batch.images.target_N & (batch.images.source_N == 1)
    assert losses.flow_count_S[1] == batch.images.tokens_N[targets_N].sum()


def test_noise_bins_follow_flow_time(naive, decoder):
    batch = naive.pack([[[naive.Picture(), naive.Picture(1, 1)]]], 24)
    losses = Objective(ObjectiveSettings()).losses(
        decoder, batch, ImageLatents(latents(batch)), seed=0, time_N=torch.tensor([0.05, 0.95])
    )
    assert losses.flow_count_bins.tolist() == [6] + [0] * (NOISE_BINS - 2) + [1]


def test_the_text_loss_is_cross_entropy_of_the_labels(naive, decoder):
    batch = naive.pack([[[[9, 10], naive.Picture(target=False), [11, 12]]]], 24)
    z = latents(batch)
    losses = Objective(ObjectiveSettings()).losses(decoder, batch, ImageLatents(z), seed=0)
    inputs = DecoderInput.from_batch(batch, ImageLatents(z), torch.ones(1))
    logits = decoder.text_logits(decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1))
    expected = F.cross_entropy(logits, batch.label_BT.flatten(), reduction="sum")
    torch.testing.assert_close(losses.text_sum, expected)
    assert losses.flow_count == 0
    assert losses.flow_sum == 0


def test_weights_and_empty_counts():
    zero, counts = torch.tensor(0.0), torch.zeros(2)
    load_Q2E = torch.zeros(1, 2, 4, dtype=torch.int64)
    sums = [torch.tensor(value) for value in (6.0, 8.0, 10.0, 12.0)]
    losses = Losses(*sums, zero, zero, zero, load_Q2E, *[counts] * 6)
    objective = Objective(ObjectiveSettings(balance_weight=0.1, router_z_weight=0.2))
    routing = 0.1 * 10 / 5 + 0.2 * 12 / 5
    assert float(objective.total(losses, Counts(3, 4, 5))) == pytest.approx(2 + 3 * 2 + routing)
    empty = Counts(torch.tensor(0), torch.tensor(4), torch.tensor(5))
    assert float(objective.total(losses, empty)) == pytest.approx(6 + 3 * 2 + routing)
    unrouted = replace(losses, load_Q2E=torch.zeros(0, 2, 0))
    assert float(objective.total(unrouted, Counts(3, 4, 5))) == 2 + 3 * 2


def test_flow_times_are_shifted_and_context_images_are_clean(naive):
    pictures = [naive.Picture(target=bool(n % 2)) for n in range(40)]
    batch = naive.pack([[pictures]], 400)
    target_N = batch.images.target_N
    plain, shifted = (
        Objective(ObjectiveSettings(shift=shift)).flow_times(batch, 0, CHANNELS)
        for shift in (1.0, 3.0)
    )
    assert (plain[~target_N] == 1).all()
    assert (shifted[~target_N] == 1).all()
    time = plain[target_N]
    torch.testing.assert_close(shifted[target_N], time / (time + 3 * (1 - time)))
    default = Objective(ObjectiveSettings()).flow_times(batch, 0, CHANNELS)
    torch.testing.assert_close(default, plain)  # 6 tokens of 4 channels: α is floored at 1


def test_a_new_model_begins_at_chance(naive):
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    decoder = Decoder(settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS)
    batch = naive.random_batch(2)
    losses = (
        Objective(ObjectiveSettings(loss_space="x"))
        .losses(decoder, batch, ImageLatents(latents(batch)), seed=0)
        .detach()
    )
    assert float(losses.text_sum / losses.text_count) == pytest.approx(math.log(naive.vocabulary))
    assert float(losses.flow_sum / losses.flow_count) == pytest.approx(1.0, abs=0.3)


@pytest.fixture(scope="module")
def mixture(naive) -> Decoder:
    moe = {"num_experts": 8, "granularity": 4, "shared": "modality"}
    settings = ModelSettings(
        width=32, depth=2, query_heads=4, key_value_heads=2, experts="moe", moe=moe
    )
    return Decoder(settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS)


@pytest.mark.parametrize("spans", ["text", "pictures", "both"])
def test_a_mixture_trains_on_batches_that_lack_a_modality(naive, mixture, spans):
    own = {"text": [[9, 10, 11]], "pictures": [naive.Picture()]}
    batch = naive.pack([[own.get(spans, own["text"] + own["pictures"])]], 24)
    objective = Objective(ObjectiveSettings(router_z_weight=1e-3))
    losses = objective.losses(mixture, batch, ImageLatents(latents(batch)), seed=0)
    found = gradients(mixture, objective.total(losses, Counts.of([batch])))
    assert all(torch.isfinite(gradient).all() for gradient in found)
    assert losses.load_Q2E.shape == (2, 2, 6)
    vision = int((batch.modality_BT == Modality.VISION).sum())
    assert losses.load_Q2E.sum((0, 2)).tolist() == [
        2 * 3 * (batch.num_filled - vision),
        2 * 3 * vision,
    ]


def test_recomputed_blocks_route_alike_and_count_once(naive, mixture):
    batch = naive.random_batch(11)
    z, objective = latents(batch), Objective(ObjectiveSettings())
    whole = objective.losses(mixture, batch, ImageLatents(z), seed=0)
    expected = gradients(mixture, objective.total(whole, Counts.of([batch])))
    forwards = [(block, block.forward) for block in mixture.blocks]
    for block, forward in forwards:
        block.forward = partial(checkpoint, forward, use_reentrant=False)
    try:
        again = objective.losses(mixture, batch, ImageLatents(z), seed=0)
        found = gradients(mixture, objective.total(again, Counts.of([batch])))
    finally:
        for block, forward in forwards:
            block.forward = forward
    assert torch.equal(again.load_Q2E, whole.load_Q2E)
    for gradient, wanted in zip(found, expected, strict=True):
        assert torch.equal(gradient, wanted)
