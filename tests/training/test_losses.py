"""Losses of whole batches: against a loop, unpacked, and summed from parts."""

import math
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
import torch

from chiasm.batch.packed import NO_LABEL
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.losses import NOISE_BINS, Counts, Losses, Sums
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings, StreamObjective

MODELS = {
    "modality": {},
    "mixture of transformers": {"attention_weights": "modality"},
    "mixture of experts": {
        "experts": "moe",
        "moe": {"num_experts": 8, "shared_experts": "modality"},
    },
}


@pytest.fixture(scope="module")
def decoder(naive) -> Decoder:
    return naive.decoder(noise=0.1)


@pytest.fixture(scope="module", params=MODELS)
def any_decoder(naive, request) -> Decoder:
    return naive.decoder(noise=0.1, **MODELS[request.param])


def gradients(decoder, loss) -> list[torch.Tensor]:
    decoder.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in decoder.parameters()]


def flat(losses: Losses) -> Iterator[tuple[str, torch.Tensor]]:
    """All numbers of losses, detached, by name."""
    inner = {f"inner {name}": own for name, own in losses.inner.items()}
    for name, own in {"text": losses.text, **losses.flow, **inner}.items():
        yield from ((f"{name}.{f.name}", getattr(own, f.name).detach()) for f in fields(Sums))
    for field in fields(Losses):
        if field.name not in ("text", "flow", "inner"):
            yield field.name, getattr(losses, field.name).detach()


def assert_same_losses(one: Losses, other: Losses, **tolerance: float) -> None:
    for (name, a), (again, b) in zip(flat(one), flat(other), strict=True):
        assert name == again
        torch.testing.assert_close(a.double(), b.double(), msg=name, **tolerance)


def by_hand(naive, decoder, batch, z, noise, times) -> dict[str, list[tuple[float, int, float]]]:
    """Loss, source and flow time of every target: position by position, token by token.

    Pictures predict x and series velocities, both compared as velocities.
    """
    z_t, clean = {}, {}
    for name, own in batch.slots.items():
        clean[name] = times[name].clone()
        clean[name][~own.target_N] = 1.0
        time_L = [float(clean[name][item]) for item in own.item_L.tolist()]
        rows = [(1 - t) * noise[name][token] + t * z[name][token] for token, t in enumerate(time_L)]
        z_t[name] = torch.stack(rows)
    inputs = DecoderInput.from_batch(batch, z_t, clean)
    x_BTD = decoder(inputs, IntervalMask.from_batch(batch))
    found: dict[str, list[tuple[float, int, float]]] = {"text": []}
    for row, here in (batch.label_BT != NO_LABEL).nonzero().tolist():
        logits_V = decoder.text_logits(x_BTD[row, here][None])[0]
        loss = -logits_V.log_softmax(0)[batch.label_BT[row, here]]
        found["text"].append((float(loss), int(batch.source_BT[row, here]), 0.0))
    for name, own in batch.slots.items():
        found[name], token = [], 0
        for item, grid in enumerate(own.grid_NA.tolist()):
            row, start, time = int(own.row_N[item]), int(own.start_N[item]), clean[name][item]
            for place in range(math.prod(grid)):
                output_C = decoder.latent_output(name, x_BTD[row, start + place][None])[0]
                error_C = output_C - (z[name] - noise[name])[token]
                if name == "image":
                    error_C = (output_C - z[name][token]) / max(1 - float(time), 0.05)
                if own.target_N[item]:
                    loss = float(error_C.square().mean())
                    found[name].append((loss, int(own.source_N[item]), float(time)))
                token += 1
    return found


@torch.no_grad()
def test_losses_and_counts_of_each_stream_are_those_of_a_naive_loop(naive, any_decoder):
    batch = naive.random_batch(6, num_rows=5)
    z, noise, times = naive.latents(batch), naive.latents(batch, 1), naive.times(batch, 2)
    own = {"series": StreamObjective(prediction="v", flow_weight=0.5)}
    objective = Objective(ObjectiveSettings(text_weight=2, streams=own, load_balance_weight=0))
    losses = objective.losses(any_decoder, batch, z, 0, times, noise)
    expected = by_hand(naive, any_decoder, batch, z, noise, times)
    counts, total = Counts.of([batch]), 0.0
    for name, sums in {"text": losses.text, **losses.flow}.items():
        found = expected[name]
        assert sums.count == len(found) > 0
        assert counts.text == len(found) if name == "text" else counts.flow[name] == len(found)
        assert float(sums.sum) == pytest.approx(sum(loss for loss, *_ in found), rel=1e-4)
        for source in (0, 1):
            own_losses = [loss for loss, its_source, _ in found if its_source == source]
            assert sums.count_S[source] == len(own_losses) > 0
            assert float(sums.sum_S[source]) == pytest.approx(sum(own_losses), rel=1e-4)
        bins = NOISE_BINS if name != "text" else 0
        assert len(sums.sum_bins) == len(sums.count_bins) == bins
        for number in range(bins):
            inside = [loss for loss, _, time in found if int(time * NOISE_BINS) == number]
            assert sums.count_bins[number] == len(inside)
            assert float(sums.sum_bins[number]) == pytest.approx(sum(inside), rel=1e-4)
        weight = {"text": 2.0, "image": 3.0, "series": 0.5}[name]
        total += weight * sum(loss for loss, *_ in found) / len(found)
    assert losses.position_count == batch.num_filled == counts.positions
    assert float(objective.total(losses, counts)) == pytest.approx(total, rel=1e-4)


def test_packed_losses_equal_unpacked_losses(naive, any_decoder):
    decoder = any_decoder
    rows = naive.random_rows(np.random.default_rng(9), 2, 80)
    documents = [spans for row in rows for spans in row]
    packed = naive.pack(rows, 80, source_of=lambda row, document: 0)
    unpacked = naive.pack([[d] for d in documents], 64, source_of=lambda row, document: 0)
    assert all(0 < own.num_targets < len(own.item_L) for own in packed.slots.values())
    z, noise, times = naive.latents(packed), naive.latents(packed, 1), naive.times(packed, 0)
    results = []
    for batch in (packed, unpacked):
        losses = Objective(ObjectiveSettings()).losses(decoder, batch, z, 0, times, noise)
        total = Objective(ObjectiveSettings()).total(losses, Counts.of([batch]))
        results.append((losses.detach(), gradients(decoder, total)))
    assert_same_losses(results[0][0], results[1][0], atol=1e-4, rtol=1e-4)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_accumulating_four_batches_equals_one_big_batch(naive, decoder):
    objective = Objective(ObjectiveSettings())
    rows = naive.random_rows(np.random.default_rng(9), 4, 64)
    big = naive.pack(rows, 64)
    z = naive.latents(big)
    counts = Counts.of([big])
    whole = objective.losses(decoder, big, z, seed=2)
    expected = gradients(decoder, objective.total(whole, counts))
    decoder.zero_grad()
    total, summed = 0.0, None
    row_of = {name: own.row_N[own.item_L] for name, own in big.slots.items()}
    for number, row in enumerate(rows):
        small = naive.pack([row], 64, numbers=[number])
        own = {name: z_LC[row_of[name] == number] for name, z_LC in z.items()}
        part = objective.losses(decoder, small, own, seed=2)
        loss = objective.total(part, counts)
        loss.backward()
        total += float(loss.detach())
        summed = part.detach() if summed is None else summed + part.detach()
    # Losses are float32 whatever holds their sums, and other shapes round otherwise.
    assert_same_losses(summed, whole, rtol=1.3e-6, atol=1e-5)
    expected_total = objective.total(whole.detach(), counts)
    assert total == pytest.approx(float(expected_total), rel=1e-5)
    for parameter, gradient in zip(decoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


def test_sums_and_counts_add_up(naive, decoder):
    batch = naive.random_batch(6, num_rows=6)
    losses = (
        Objective(ObjectiveSettings()).losses(decoder, batch, naive.latents(batch), seed=0).detach()
    )
    text = losses.text
    assert text.count == batch.num_text_targets
    assert float(text.sum_S.sum()) == pytest.approx(float(text.sum), rel=1e-5)
    assert (text.count_S > 0).all()
    for name, own in losses.flow.items():
        slots = batch.slots[name]
        assert own.count == slots.num_targets
        for parts in (own.sum_S, own.sum_bins):
            assert float(parts.sum()) == pytest.approx(float(own.sum), rel=1e-5)
        assert own.count_bins.sum() == own.count_S.sum() == own.count
        targets_N = slots.target_N & (slots.source_N == 1)
        assert own.count_S[1] == slots.tokens_N[targets_N].sum()
