"""What shortcuts learn from, against two steps taken one by one."""

import numpy as np
import pytest
import torch

from chiasm.flow import mix, velocity
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.losses import NOISE_BINS, Counts
from chiasm.training.noise import draw_noise, draw_steps
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings

MOST, ALPHA = 8, 2.0


@pytest.fixture(scope="module")
def decoder(naive):
    return naive.decoder(0.1, shortcut_steps=MOST)


@pytest.fixture(scope="module")
def batch(naive):
    """Rows 0, 1 and 4 of a lane: films, what is seen and heard, and pictures that say nothing."""
    picture, given, series = naive.Picture(1, 2), naive.Picture(2, 1, target=False), naive.Series(2)
    first = [[given, [9], picture, picture], [[8, 7], series, picture], [picture, [9]]]
    dropped = naive.Picture(2, 1, dropped=True)
    return naive.pack([first, first, [[dropped], [given, series]]], 48, numbers=[0, 1, 4])


def told_velocity(decoder, batch, z, times, steps, name, prediction):
    x = decoder(DecoderInput.from_batch(batch, z, times, steps), IntervalMask.from_batch(batch))
    own = batch.slots[name]
    output = decoder.latent_output(name, x.flatten(0, 1)[own.position_L])
    return velocity(output, z[name], times[name][own.item_L], prediction)


def time_of(share):
    return share / (share + ALPHA * (1 - share))


@pytest.mark.parametrize("prediction", ["preconditioned", "x", "v"])
def test_a_long_step_is_to_lead_where_two_short_ones_do(naive, decoder, batch, prediction):
    """Values and gradients, item by item: each moves alone."""
    settings = ObjectiveSettings(prediction=prediction, shift=ALPHA)
    objective, z = Objective(settings), naive.latents(batch)
    noise = {name: draw_noise(batch, name, 3) for name in z}
    drawn, times = draw_steps(batch, 3, MOST), objective.flow_times(batch, 3)
    sizes = {name: own.size_N for name, own in drawn.items()}
    for name, own in drawn.items():
        times[name] = torch.where(own.size_N > 0, time_of(own.begin_N), times[name])
    z_t = {
        name: mix(z[name], noise[name], times[name][own.item_L])
        for name, own in batch.slots.items()
    }
    targets = {name: z[name] - noise[name] for name in z}
    for name, own in batch.slots.items():
        if prediction == "x":  # as there, near the data
            rest_L1 = (1 - times[name][own.item_L]).unsqueeze(-1)
            targets[name] = targets[name] * rest_L1 / rest_L1.clamp_min(0.05)
        for item in (sizes[name] > 0).nonzero()[:, 0].tolist():
            inside, now, moving = own.item_L == item, dict(times), dict(z_t)
            halves = {each: size / 2 for each, size in sizes.items()}
            for part in (0.5, 1.0):
                then = now[name].clone()
                then[item] = time_of(drawn[name].begin_N[item] + part * sizes[name][item])
                with torch.no_grad():
                    v = told_velocity(decoder, batch, moving, now, halves, name, prediction)
                step = (then - now[name])[own.item_L].unsqueeze(-1)
                moving = moving | {name: moving[name] + step * v}
                now = now | {name: then}
            way = (moving[name] - z_t[name]) / (now[name][item] - times[name][item])
            targets[name] = torch.where(inside.unsqueeze(-1), way, targets[name])
    expected, found = 0.0, objective.losses(decoder, batch, z, 3)
    for name, own in batch.slots.items():
        v = told_velocity(decoder, batch, z_t, times, sizes, name, prediction)
        loss_L = (v - targets[name]).square().mean(1)[own.target_N[own.item_L]]
        torch.testing.assert_close(found.flow[name].sum, loss_L.sum(), rtol=1e-4, atol=1e-4)
        expected = expected + 3 * loss_L.sum() / own.num_targets
    total = objective.total(found, Counts.of([batch])) - found.text.sum / batch.num_text_targets
    parameters = [own for own in decoder.parameters() if own is not decoder.text_head.weight]
    own, wanted = (
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for loss in (total, expected)
    )
    for gradient, other in zip(own, wanted, strict=True):
        if other is not None:
            torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4)


def test_one_target_of_a_document_has_a_step(naive, batch):
    """In every fourth row of a lane, in any of its streams, and never one that is given."""
    seen, sizes = set(), set()
    for seed in range(40):
        steps = draw_steps(batch, seed, MOST)
        documents = []
        for name, own in batch.slots.items():
            begin_N, size_N = steps[name]
            chosen = size_N > 0
            assert not (chosen & ~own.target_N).any()
            row_N = own.row_N[chosen]
            documents += (100 * row_N + batch.document_BT[row_N, own.start_N[chosen]]).tolist()
            seen |= {(name, item) for item in chosen.nonzero()[:, 0].tolist()}
            number_N = begin_N[chosen] / size_N[chosen]
            assert torch.equal(number_N, number_N.round())
            assert ((begin_N + size_N)[chosen] <= 1).all()
            sizes |= set(size_N[chosen].tolist())
        assert sorted(documents) == [0, 1, 2, 200, 201]
    assert sizes == {1.0, 0.5, 0.25}
    assert len(seen) == 2 + 2 + 1 + 2


def test_a_row_has_the_same_steps_in_any_batch(naive):
    rows = naive.random_rows(np.random.default_rng(0), 4, 64)
    together, alone = (
        naive.pack(rows, 64, numbers=[8, 11, 12, 13]),
        naive.pack([rows[2]], 80, numbers=[12]),
    )
    both = draw_steps(together, 5, 16), draw_steps(alone, 5, 16)
    for name, own in together.slots.items():
        found, wanted = (each[name] for each in both)
        assert torch.equal(found.size_N[own.row_N == 2], wanted.size_N)
        inside_N = wanted.size_N > 0
        assert torch.equal(found.begin_N[own.row_N == 2][inside_N], wanted.begin_N[inside_N])
    assert any((own.size_N > 0).any() for own in both[1].values())


def test_rows_between_cost_no_pass_and_lose_nothing(naive, decoder, batch):
    """Their losses are those of a decoder that knows no steps."""
    rows = naive.random_rows(np.random.default_rng(1), 2, 48)
    between, plain = naive.pack(rows, 48, numbers=[1, 2]), naive.decoder(0.1)
    plain.load_state_dict(decoder.state_dict(), strict=False)
    passes = []
    with_hook = decoder.final_norm.register_forward_hook(lambda *_: passes.append(1))
    z, objective = naive.latents(between), Objective(ObjectiveSettings())
    found = objective.losses(decoder, between, z, 0)
    with_hook.remove()
    wanted = objective.losses(plain, between, z, 0)
    assert len(passes) == 1
    for name, own in wanted.flow.items():
        assert torch.equal(found.flow[name].sum, own.sum)
        assert torch.equal(found.flow[name].sum_bins[:NOISE_BINS], own.sum_bins)
        assert found.flow[name].count_bins[NOISE_BINS] == 0
    at_times = objective.losses(decoder, batch, naive.latents(batch), 0, naive.times(batch, 1))
    assert len(at_times.flow["image"].sum_bins) == NOISE_BINS, "what is held out is no shortcut"


def test_shortcuts_have_a_bin_of_their_own(naive, decoder, batch):
    found = Objective(ObjectiveSettings()).losses(decoder, batch, naive.latents(batch), 3)
    steps = draw_steps(batch, 3, MOST)
    for name, own in batch.slots.items():
        inside_L = (steps[name].size_N > 0)[own.item_L]
        assert found.flow[name].count_bins[NOISE_BINS] == inside_L.sum()
        assert found.flow[name].count_bins.sum() == own.num_targets


@pytest.mark.slow
def test_one_step_finds_one_of_two_where_velocities_find_their_mean(naive):
    """Items of four numbers, all 1 or all -1."""
    items = [[[naive.Picture(1, 1)]] * 12] * 4
    found = {}
    for shortcut_steps in (None, 8):
        decoder = naive.decoder(shortcut_steps=shortcut_steps, experts="dense")
        objective = Objective(ObjectiveSettings(prediction="preconditioned", shift=1.0))
        optimizer = torch.optim.Adam(decoder.parameters(), 3e-3)
        for step in range(500):
            batch = naive.pack(items, 60, numbers=range(4 * step, 4 * step + 4))
            generator = torch.Generator().manual_seed(step)
            sign_L1 = torch.randint(2, (48, 1), generator=generator) * 2.0 - 1
            z = {"image": sign_L1.expand(-1, 4), "series": torch.zeros(0, 3)}
            losses = objective.losses(decoder, batch, z, 0)
            objective.total(losses, Counts.of([batch])).backward()
            optimizer.step()
            optimizer.zero_grad()
        begin = naive.latents(batch, 1)
        none, whole = (
            {name: torch.full((len(own),), size) for name, own in batch.slots.items()}
            for size in (0.0, 1.0)
        )
        with torch.no_grad():
            v = told_velocity(decoder, batch, begin, none, whole, "image", "preconditioned")
        found[shortcut_steps] = float((begin["image"] + v).mean(1).abs().mean())
    assert found[None] < 0.3
    assert found[8] > 0.7
