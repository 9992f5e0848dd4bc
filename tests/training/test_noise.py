from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.batch.streams import Streams, StreamShape
from chiasm.training.noise import draw_noise, draw_times

STREAMS = ("image", "series")


@pytest.mark.parametrize("stream", STREAMS)
def test_a_row_draws_the_same_in_any_batch(naive, stream):
    rows = naive.random_rows(np.random.default_rng(0), 4, 64)
    together = naive.pack(rows, 64, numbers=[10, 11, 12, 13])
    alone = naive.pack([rows[2]], 80, numbers=[12])
    own = together.slots[stream]
    in_row_N = own.row_N == 2
    assert in_row_N.any()
    assert torch.equal(
        draw_noise(together, stream, 5)[in_row_N[own.item_L]], draw_noise(alone, stream, 5)
    )
    for distribution in ("uniform", "logit_normal"):
        drawn = draw_times(together, stream, 5, distribution)[in_row_N]
        assert torch.equal(drawn, draw_times(alone, stream, 5, distribution))


@pytest.mark.parametrize("stream", STREAMS)
def test_other_streams_change_no_draw(naive, stream):
    """Neither items of theirs in the row nor that the run has them."""
    rows = naive.random_rows(np.random.default_rng(1), 3, 64)
    kind = {"image": naive.Picture, "series": naive.Series}[stream]
    alone = [[[s for s in spans if isinstance(s, kind)] for spans in row] for row in rows]
    mixed, pure = naive.pack(rows, 64), naive.pack(alone, 64)
    assert all(len(own) for own in mixed.slots.values())
    only = replace(
        pure,
        streams=Streams((naive.streams[stream],)),
        slots={stream: pure.slots[stream]},
    )
    for batch in (pure, only):
        assert torch.equal(draw_noise(mixed, stream, 3), draw_noise(batch, stream, 3))
        for distribution in ("uniform", "logit_normal"):
            drawn = draw_times(mixed, stream, 3, distribution)
            assert torch.equal(drawn, draw_times(batch, stream, 3, distribution))


def test_streams_draw_different_numbers(naive):
    """Two of equal shape, with as many items in the same rows."""
    shapes = tuple(StreamShape(name, "motion", (4,), channels=3) for name in ("series", "other"))
    batch = naive.pack([[[naive.Series(), naive.Series()]]], 24)
    both = replace(
        batch,
        streams=Streams(shapes),
        slots=dict.fromkeys(("series", "other"), batch.slots["series"]),
    )
    assert not (draw_noise(both, "series", 0) == draw_noise(both, "other", 0)).any()
    one, other = (draw_times(both, shape.name, 0, "uniform") for shape in shapes)
    assert not (one == other).any()


def test_pictures_draw_as_they_did_before_there_were_streams(naive):
    batch = naive.pack([[[naive.Picture(1, 2), naive.Series()]]], 24, numbers=[9])
    keys = [[5, 0, 9, int.from_bytes(purpose)] for purpose in (b"noise", b"flow time")]
    noise, times = (np.random.default_rng(key) for key in keys)
    expected = noise.standard_normal((2, 4), dtype=np.float32)
    assert (draw_noise(batch, "image", 5).numpy() == expected).all()
    assert float(draw_times(batch, "image", 5, "uniform")) == float(times.random(dtype=np.float32))


@pytest.mark.parametrize("stream", STREAMS)
def test_seed_and_row_number_change_the_draw(naive, stream):
    rows = [[[naive.Picture(), naive.Series()]]]
    draws = [
        draw_noise(naive.pack(rows, 24, numbers=[number]), stream, seed)
        for seed, number in ((0, 0), (1, 0), (0, 1))
    ]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_draws_leave_the_process_state_alone(naive):
    batch = naive.random_batch(1)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    for stream in STREAMS:
        draw_noise(batch, stream, 0), draw_times(batch, stream, 0, "logit_normal")
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


@pytest.mark.parametrize("stream", STREAMS)
def test_distributions(naive, stream):
    item = {"image": naive.Picture(1, 1), "series": naive.Series(1)}[stream]
    batch = naive.pack([[[item] * 40]] * 50, 128)
    noise = draw_noise(batch, stream, 0)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    uniform, logit = (draw_times(batch, stream, 0, kind) for kind in ("uniform", "logit_normal"))
    assert abs(float(uniform.mean()) - 0.5) < 0.03
    assert abs(float(uniform.std()) - 12**-0.5) < 0.02
    assert abs(float(torch.logit(logit).std()) - 1) < 0.06


@pytest.mark.parametrize("stream", STREAMS)
def test_a_batch_without_items(naive, stream):
    batch = naive.pack([[[[9, 10]]]], 8)
    assert draw_noise(batch, stream, 0).shape == (0, naive.streams[stream].channels)
    assert draw_times(batch, stream, 0, "uniform").shape == (0,)
