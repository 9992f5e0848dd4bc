import numpy as np
import torch

from chiasm.training.noise import draw_noise, draw_times

CHANNELS = 3


def rows_of(batch, per_image: torch.Tensor, row: int) -> torch.Tensor:
    return per_image[batch.images.row_N == row]


def test_a_row_draws_the_same_in_any_batch(naive):
    rows = naive.random_rows(np.random.default_rng(0), 4, 64)
    together = naive.pack(rows, 64, numbers=[10, 11, 12, 13])
    alone = naive.pack([rows[2]], 80, numbers=[12])
    image_L = together.images.image_L
    in_row_L = together.images.row_N[image_L] == 2
    assert torch.equal(draw_noise(together, 5, CHANNELS)[in_row_L], draw_noise(alone, 5, CHANNELS))
    for distribution in ("uniform", "logit_normal"):
        drawn = rows_of(together, draw_times(together, 5, distribution), 2)
        assert torch.equal(drawn, draw_times(alone, 5, distribution))


def test_seed_and_row_number_change_the_draw(naive):
    rows = [[[naive.Picture()]]]
    draws = [
        draw_noise(naive.pack(rows, 16, numbers=[number]), seed, CHANNELS)
        for seed, number in ((0, 0), (1, 0), (0, 1))
    ]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_draws_leave_the_process_state_alone(naive):
    batch = naive.random_batch(1)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    draw_noise(batch, 0, CHANNELS), draw_times(batch, 0, "logit_normal")
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_distributions(naive):
    batch = naive.pack([[[naive.Picture(1, 1)] * 40]] * 50, 128)
    noise = draw_noise(batch, 0, CHANNELS)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    uniform, logit = (draw_times(batch, 0, kind) for kind in ("uniform", "logit_normal"))
    assert abs(float(uniform.mean()) - 0.5) < 0.03
    assert abs(float(uniform.std()) - 12**-0.5) < 0.02
    assert abs(float(torch.logit(logit).std()) - 1) < 0.06


def test_a_batch_without_images(naive):
    batch = naive.pack([[[[9, 10]]]], 8)
    assert draw_noise(batch, 0, CHANNELS).shape == (0, CHANNELS)
    assert draw_times(batch, 0, "uniform").shape == (0,)
