import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from chiasm.flow import default_shift, mix
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.average import Average
from chiasm.training.losses import NOISE_BINS, Counts, Losses, Sums
from chiasm.training.noise import draw_noise
from chiasm.training.objective import AVERAGE_NOISE, Objective
from chiasm.training.settings import InnerObjective, ObjectiveSettings, StreamObjective


@pytest.fixture(scope="module")
def decoder(naive) -> Decoder:
    return naive.decoder(noise=0.1)


def gradients(decoder, loss) -> list[torch.Tensor]:
    decoder.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in decoder.parameters()]


def test_x_prediction_is_compared_in_velocity_space(naive, decoder):
    """v = (x̂ - z_t) / max(1 - t, 0.05) against the same expression of the truth, by hand."""
    images, series = ([kind(target=False), kind(2)] for kind in (naive.Picture, naive.Series))
    batch = naive.pack([[[[9], images[0], [8], series[0], images[1], series[1]]]], 40)
    z, noise = naive.latents(batch), naive.latents(batch, 1)
    for t in (0.0, 0.4, 0.97):
        times = {"image": torch.tensor([0.2, t]), "series": torch.tensor([0.3, t / 2])}
        losses = Objective(ObjectiveSettings()).losses(decoder, batch, z, 0, times, noise)
        # Context is clean whatever was asked.
        read = {"image": torch.tensor([1.0, t]), "series": torch.tensor([1.0, t / 2])}
        seen = {"image": 6, "series": 4}
        z_t = {
            name: torch.cat((z[name][:n], mix(z[name][n:], noise[name][n:], read[name][1:])))
            for name, n in seen.items()
        }
        x = decoder(DecoderInput.from_batch(batch, z_t, read), IntervalMask.from_batch(batch))
        for name, n in seen.items():
            position_L = batch.slots[name].position_L[n:]
            x_hat = decoder.latent_output(name, x.flatten(0, 1)[position_L])
            error = (x_hat - z[name][n:]) / (1 - read[name][1]).clamp_min(0.05)
            torch.testing.assert_close(losses.flow[name].sum, error.square().mean(1).sum())
            assert losses.flow[name].count == {"image": 6, "series": 2}[name]


@pytest.mark.parametrize("prediction", ["x", "v", "epsilon"])
@pytest.mark.parametrize("loss_space", ["x", "v", "epsilon"])
def test_a_perfect_prediction_costs_nothing_and_any_other_does(
    naive, decoder, monkeypatch, prediction, loss_space
):
    items = [naive.Picture(), naive.Series(), naive.Picture(), naive.Series()]
    batch = naive.pack([[items]], 40)
    z, noise = naive.latents(batch), naive.latents(batch, 1)
    times = dict.fromkeys(("image", "series"), torch.tensor([0.01, 0.99]))
    # Pictures predict what is asked, series velocities whatever that is.
    settings = ObjectiveSettings(
        prediction=prediction,
        loss_space=loss_space,
        streams={"series": StreamObjective(prediction="v")},
    )
    truths = {
        name: {"x": z[name], "v": z[name] - noise[name], "epsilon": noise[name]}[own]
        for name, own in (("image", prediction), ("series", "v"))
    }
    for errors in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        off = dict(zip(truths, errors, strict=True))
        monkeypatch.setattr(
            decoder, "latent_output", lambda name, x_LD, off=off: truths[name] + off[name]
        )
        losses = Objective(settings).losses(decoder, batch, z, 0, times, noise)
        for name, own in losses.flow.items():
            assert (float(own.sum.detach()) < 1e-6) == (off[name] == 0)


def test_noise_bins_follow_flow_time(naive, decoder):
    batch = naive.pack([[[naive.Picture(), naive.Picture(1, 1), naive.Series(5)]]], 24)
    times = {"image": torch.tensor([0.05, 0.95]), "series": torch.tensor([0.15])}
    losses = Objective(ObjectiveSettings()).losses(
        decoder, batch, naive.latents(batch), seed=0, times=times
    )
    bins = {name: own.count_bins.tolist() for name, own in losses.flow.items()}
    assert bins["image"] == [6] + [0] * (NOISE_BINS - 2) + [1]
    assert bins["series"] == [0, 5] + [0] * (NOISE_BINS - 2)


def test_the_text_loss_is_cross_entropy_of_the_labels(naive, decoder):
    context = [naive.Picture(target=False), naive.Series(target=False)]
    batch = naive.pack([[[[9, 10], *context, [11, 12]]]], 24)
    z = naive.latents(batch)
    losses = Objective(ObjectiveSettings()).losses(decoder, batch, z, seed=0)
    inputs = DecoderInput.from_batch(batch, z, naive.times(batch))
    logits = decoder.text_logits(decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1))
    expected = F.cross_entropy(logits, batch.label_BT.flatten(), reduction="sum")
    torch.testing.assert_close(losses.text.sum, expected)
    for own in losses.flow.values():
        assert own.count == 0
        assert own.sum == 0


def test_losses_do_not_depend_on_how_many_logits_exist_at_once(naive, decoder, monkeypatch):
    batch = naive.random_batch(7)
    z, objective = naive.latents(batch), Objective(ObjectiveSettings())
    whole = objective.losses(decoder, batch, z, seed=0)
    expected = gradients(decoder, objective.total(whole, Counts.of([batch])))
    monkeypatch.setattr("chiasm.model.cross_entropy.LOGITS_BYTES", 1000)
    chunked = objective.losses(decoder, batch, z, seed=0)
    found = gradients(decoder, objective.total(chunked, Counts.of([batch])))
    torch.testing.assert_close(chunked.text.sum, whole.text.sum)
    torch.testing.assert_close(chunked.text.sum_S, whole.text.sum_S, check_dtype=True)
    for gradient, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


def summed(value: float) -> Sums:
    nothing = torch.zeros(2)
    return Sums(torch.tensor(value), nothing, nothing, nothing, nothing)


def test_weights_and_empty_counts():
    flow = {"image": summed(8.0), "series": summed(9.0)}
    balance, router_z, positions = torch.tensor(10.0), torch.tensor(12.0), torch.tensor(0)
    load_QXE = torch.zeros(1, 3, 4, dtype=torch.int64)
    losses = Losses(summed(6.0), flow, balance, router_z, positions, load_QXE)
    own = {"series": StreamObjective(flow_weight=0.5)}
    objective = Objective(
        ObjectiveSettings(load_balance_weight=0.1, router_z_weight=0.2, streams=own)
    )
    flow = 3 * 8 / 4 + 0.5 * 9 / 6
    routing = 0.1 * 10 / 5 + 0.2 * 12 / 5
    counts = Counts(3, {"image": 4, "series": 6}, 5)
    assert float(objective.total(losses, counts)) == pytest.approx(2 + flow + routing)
    tensors = {"image": torch.tensor(4), "series": torch.tensor(6)}
    empty = Counts(torch.tensor(0), tensors, torch.tensor(5))
    assert float(objective.total(losses, empty)) == pytest.approx(6 + flow + routing)
    none = Counts(3, {"image": 4, "series": 0}, 5)
    expected = 2 + 3 * 8 / 4 + 0.5 * 9 + routing
    assert float(objective.total(losses, none)) == pytest.approx(expected)
    unrouted = replace(losses, load_QXE=torch.zeros(0, 3, 0))
    assert float(objective.total(unrouted, counts)) == 2 + flow


def test_flow_times_are_shifted_and_context_items_are_clean(naive):
    items = [kind(target=bool(n % 2)) for n in range(40) for kind in (naive.Picture, naive.Series)]
    batch = naive.pack([[items]], 700)
    plain, shifted, default, apart = (
        Objective(settings).flow_times(batch, 0)
        for settings in (
            ObjectiveSettings(shift=1.0),
            ObjectiveSettings(shift=3.0),
            ObjectiveSettings(),
            ObjectiveSettings(shift=3.0, streams={"series": StreamObjective(shift=2.0)}),
        )
    )
    for name, slots in batch.slots.items():
        target_N = slots.target_N
        assert (plain[name][~target_N] == 1).all()
        assert (shifted[name][~target_N] == 1).all()
        time = plain[name][target_N]
        torch.testing.assert_close(shifted[name][target_N], time / (time + 3 * (1 - time)))
        # Few tokens of few channels: α is floored at 1.
        torch.testing.assert_close(default[name], plain[name])
    torch.testing.assert_close(apart["image"], shifted["image"])
    time = plain["series"]
    torch.testing.assert_close(apart["series"], time / (time + 2 * (1 - time)))


def test_context_has_noise_where_it_is_asked_for_and_targets_have_the_same_times(naive):
    items = [naive.Picture(target=bool(n % 2)) for n in range(80)]
    batch = naive.pack([[items]], 700)
    clean, noised = (
        Objective(ObjectiveSettings(context_noise=noise)).flow_times(batch, 0)["image"]
        for noise in (0.0, 0.4)
    )
    target_N = batch.slots["image"].target_N
    assert torch.equal(clean[target_N], noised[target_N])
    context = noised[~target_N]
    assert 0.6 <= context.min() < 0.65
    assert 0.95 < context.max() <= 1
    assert 0.75 < context.mean() < 0.85


def test_noised_context_is_what_the_decoder_reads(naive, decoder):
    batch = naive.pack([[[[9], naive.Picture(target=False), [8], naive.Picture()]]], 40)
    z = naive.latents(batch)
    objective = Objective(ObjectiveSettings(context_noise=0.5, prediction="v"))
    losses = objective.losses(decoder, batch, z, seed=3)
    times, noise = objective.flow_times(batch, 3)["image"], draw_noise(batch, "image", 3)
    assert 0.5 < times[0] < 1
    slots = batch.slots["image"]
    z_t = {"image": mix(z["image"], noise, times[slots.item_L])} | {"series": z["series"]}
    read = DecoderInput.from_batch(batch, z_t, {"image": times, "series": torch.ones(0)})
    x = decoder(read, IntervalMask.from_batch(batch)).flatten(0, 1)
    v = decoder.latent_output("image", x[slots.position_L[slots.target_G]])
    wanted = (z["image"] - noise)[slots.target_G]
    torch.testing.assert_close(losses.flow["image"].sum, (v - wanted).square().mean(1).sum())


def test_the_default_shift_is_that_of_each_items_own_size(naive):
    batch = naive.pack([[[naive.Series(6000), naive.Series(2), naive.Picture(2, 2)]]], 6100)
    default, plain = (
        Objective(ObjectiveSettings(shift=shift)).flow_times(batch, 0) for shift in (None, 1.0)
    )
    alpha = torch.tensor([default_shift(6000, 3), 1.0])
    assert alpha[0] == pytest.approx(math.sqrt(6000 * 3 / 4096))
    time = plain["series"]
    torch.testing.assert_close(default["series"], time / (time + alpha * (1 - time)))
    torch.testing.assert_close(default["image"], plain["image"])


def test_a_new_model_begins_at_chance(naive):
    decoder, batch = naive.decoder(), naive.random_batch(2)
    losses = (
        Objective(ObjectiveSettings(loss_space="x"))
        .losses(decoder, batch, naive.latents(batch), seed=0)
        .detach()
    )
    text = losses.text
    assert float(text.sum / text.count) == pytest.approx(math.log(naive.vocabulary))
    for own in losses.flow.values():
        assert float(own.sum / own.count) == pytest.approx(1.0, abs=0.3)


@pytest.fixture(scope="module")
def mixture(naive) -> Decoder:
    moe = {"num_experts": 9, "granularity": 4, "shared_experts": "modality"}
    return naive.decoder(experts="moe", moe=moe)


@pytest.mark.parametrize(
    "kinds",
    [("text",), ("pictures",), ("series",), ("text", "pictures"), ("text", "pictures", "series")],
)
def test_a_mixture_trains_on_batches_that_lack_a_modality(naive, mixture, kinds):
    own = {"text": [9, 10, 11], "pictures": naive.Picture(), "series": naive.Series()}
    batch = naive.pack([[[own[kind] for kind in kinds]]], 24)
    objective = Objective(ObjectiveSettings(router_z_weight=1e-3))
    losses = objective.losses(mixture, batch, naive.latents(batch), seed=0)
    found = gradients(mixture, objective.total(losses, Counts.of([batch])))
    assert all(torch.isfinite(gradient).all() for gradient in found)
    assert losses.load_QXE.shape == (2, 3, 6)
    latent = [6 * ("pictures" in kinds), 4 * ("series" in kinds)]
    positions = [batch.num_filled - sum(latent), *latent]
    assert losses.load_QXE.sum((0, 2)).tolist() == [2 * 3 * number for number in positions]


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputed_blocks_route_alike_and_count_once(naive, mixture, monkeypatch, mode):
    batch = naive.random_batch(11)
    z, objective = naive.latents(batch), Objective(ObjectiveSettings())
    whole = objective.losses(mixture, batch, z, seed=0)
    expected = gradients(mixture, objective.total(whole, Counts.of([batch])))
    monkeypatch.setattr(mixture, "activation_checkpointing", mode)
    again = objective.losses(mixture, batch, z, seed=0)
    found = gradients(mixture, objective.total(again, Counts.of([batch])))
    assert torch.equal(again.load_QXE, whole.load_QXE)
    for gradient, wanted in zip(found, expected, strict=True):
        assert torch.equal(gradient, wanted)


def named_gradients(decoder: Decoder, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    decoder.zero_grad()
    loss.backward()
    return {
        name: torch.zeros_like(own) if own.grad is None else own.grad.clone()
        for name, own in decoder.named_parameters()
    }


@pytest.mark.parametrize("prediction", ["x", "v", "preconditioned"])
@pytest.mark.parametrize("experts", ["modality", "dense"])
def test_the_inner_loss_is_the_flow_loss_of_a_model_that_ends_there(naive, prediction, experts):
    """Losses and gradients: those of the model without the head, and of its first block alone."""
    decoder = naive.decoder(0.1, inner={"block": 1}, experts=experts)
    plain, first = naive.decoder(experts=experts), naive.decoder(depth=1, experts=experts)
    weights = decoder.state_dict()
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    inner = {
        name: f"inner_head.{name.replace('final_', '')}"
        for name in first.state_dict()
        if name.startswith(("final_norm", "latent_head"))
    }
    first.load_state_dict({name: weights[inner.get(name, name)] for name in first.state_dict()})
    own = InnerObjective(weight=0.7)
    settings = ObjectiveSettings(prediction=prediction, streams={"series": {"shift": 4}}, inner=own)
    objective, batch = Objective(settings), naive.random_batch(5)
    z, counts = naive.latents(batch), Counts.of([batch])
    losses = objective.losses(decoder, batch, z, seed=3)
    without, ended = (objective.losses(each, batch, z, seed=3) for each in (plain, first))
    assert without.inner == {}
    for name, found in losses.inner.items():
        assert float(found.sum.detach()) > 0
        for value, expected in zip(
            vars(found).values(), vars(ended.flow[name]).values(), strict=True
        ):
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(losses.flow[name].sum, without.flow[name].sum)
    assert torch.equal(losses.text.sum, without.text.sum)
    found = named_gradients(decoder, objective.total(losses, counts))
    expected = named_gradients(plain, objective.total(without, counts))
    of_flow = sum(own.sum / max(1, counts.flow[name]) for name, own in ended.flow.items())
    for name, gradient in named_gradients(first, 0.7 * of_flow).items():
        name = inner.get(name, name)
        expected[name] = expected.get(name, torch.zeros_like(gradient)) + gradient
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3)


def test_less_of_the_inner_gradient_reaches_the_blocks_with_every_step(naive):
    decoder, batch = naive.decoder(0.1, inner={"block": 1}), naive.random_batch(5)
    z, counts = naive.latents(batch), Counts.of([batch])

    def found(step: int, **inner: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        objective = Objective(ObjectiveSettings(inner=InnerObjective(**inner)))
        total = objective.total(objective.losses(decoder, batch, z, 3, step=step), counts)
        return total.detach(), named_gradients(decoder, total)

    _, none = found(0, weight=0.0)
    value, whole = found(500, weight=2.0)
    for step, share in ((0, 1.0), (10, 0.75), (30, 0.25), (40, 0.0), (50, 0.0)):
        total, gradients = found(step, weight=2.0, until_step=40)
        assert torch.equal(total, value), "the loss itself is told as it is"
        for name, gradient in gradients.items():
            own = 1.0 if name.startswith("inner_head.") else share
            expected = none[name] + own * (whole[name] - none[name])
            torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-3)
    assert not torch.allclose(
        whole["blocks.0.attention.qkv.weight"], none["blocks.0.attention.qkv.weight"]
    )
    assert torch.equal(
        whole["blocks.1.attention.qkv.weight"], none["blocks.1.attention.qkv.weight"]
    )


@pytest.mark.parametrize("depth", [2, 4])
def test_the_states_of_the_average_are_its_own_at_less_noise(naive, depth):
    decoder = naive.decoder(0.1, depth=depth, inner={"block": 1, "target": "average"})
    average = Average(decoder, 0.9)
    with torch.no_grad():
        for weight in average.weights.values():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    teacher = copy.deepcopy(decoder)
    teacher.load_state_dict(average.weights, strict=False)
    before = {name: own.clone() for name, own in decoder.state_dict().items()}
    items = [naive.Picture(target=False), naive.Picture(), naive.Series(), naive.Picture(1, 2)]
    batch = naive.pack([[[[9, 10], *items]]], 40)
    z, noise = naive.latents(batch), naive.latents(batch, 1)
    times = {"image": torch.tensor([1.0, 0.2, 0.6]), "series": torch.tensor([0.9])}
    objective = Objective(ObjectiveSettings(inner=InnerObjective(weight=0.5)))
    losses = objective.losses(decoder, batch, z, 0, times, noise, average=average)

    def states(model: Decoder, less: float, block: int) -> torch.Tensor:
        at = {name: 1 - less * (1 - own) for name, own in times.items()}
        z_t = {
            name: mix(z[name], noise[name], at[name][own.item_L])
            for name, own in batch.slots.items()
        }
        read = DecoderInput.from_batch(batch, z_t, at), IntervalMask.from_batch(batch)
        return model.forward_with_routing(*read, behind=(block,)).behind[0].flatten(0, 1)

    own_MD, wanted_MD = states(decoder, 1.0, 1), states(teacher, AVERAGE_NOISE, max(1, depth - 1))
    expected = {}
    for name, slots in batch.slots.items():
        position_L = slots.position_L[slots.target_G]
        told = decoder.inner_head(name, own_MD[position_L])
        wanted = wanted_MD[position_L].detach()
        cosine = (told * wanted).sum(1) / (told.norm(dim=1) * wanted.norm(dim=1))
        expected[name] = (1 - cosine).sum()
        torch.testing.assert_close(losses.inner[name].sum, expected[name], atol=1e-4, rtol=1e-4)
        assert losses.inner[name].count == losses.flow[name].count > 0
    assert all(torch.equal(own, before[name]) for name, own in decoder.state_dict().items())

    counts = Counts.of([batch])
    plain = objective.losses(decoder, batch, z, 0, times, noise)
    assert plain.inner == {}
    total = objective.total(plain, counts) + 0.5 * sum(
        own / counts.flow[name] for name, own in expected.items()
    )
    wanted = named_gradients(decoder, total)
    found = named_gradients(decoder, objective.total(losses, counts))
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-5, rtol=1e-3)
