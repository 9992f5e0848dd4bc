from itertools import pairwise

import pytest

from chiasm.loop.schedule import ScheduleSettings, learning_rate


@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_rises_peaks_and_ends_at_the_floor(shape: str) -> None:
    settings = ScheduleSettings(shape=shape, warmup_steps=10, min_lr_ratio=0.2)
    shares = [learning_rate(settings, 1.0, step, 110) for step in range(110)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == shares[10] == 1.0
    assert shares[-1] == pytest.approx(0.2)
    assert all(a >= b for a, b in pairwise(shares[10:]))
    assert min(shares[10:]) == shares[-1]


def test_half_way_values() -> None:
    for shape, warmup in (("cosine", 0), ("linear", 0)):
        settings = ScheduleSettings(shape=shape, warmup_steps=warmup, min_lr_ratio=0.0)
        assert learning_rate(settings, 1.0, 50, 101) == pytest.approx(0.5)


def test_a_full_cosine_falls_from_the_first_step() -> None:
    settings = ScheduleSettings(shape="full_cosine", warmup_steps=5, min_lr_ratio=0.01)
    rates = [learning_rate(settings, 2.0, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(2.0 / 5)
    assert rates[4] < 2.0
    assert rates[50] == pytest.approx(2.0 * (0.01 + 0.99 / 2))
    assert all(a > b for a, b in pairwise(rates[4:]))
    assert 0.02 < rates[-1] < 0.021


def test_runs_shorter_than_the_warm_up_stay_finite() -> None:
    settings = ScheduleSettings(warmup_steps=60)
    assert [learning_rate(settings, 1.0, step, 3) for step in range(3)] == [
        pytest.approx((step + 1) / 60) for step in range(3)
    ]


def test_wsd_is_stable_until_its_last_steps() -> None:
    settings = ScheduleSettings(shape="wsd", warmup_steps=4, decay_steps=16, min_lr_ratio=0.1)
    rates = [learning_rate(settings, 1.0, step, 100) for step in range(100)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert set(rates[4:84]) == {1.0}
    assert rates[87] == pytest.approx(0.1 + 0.9 * (1 - (4 / 16) ** 0.5))
    assert rates[99] == pytest.approx(0.1)
    by_default = settings.model_copy(update={"decay_steps": None})
    assert [learning_rate(by_default, 1.0, step, 100) for step in (79, 99)] == [
        1.0,
        pytest.approx(0.1),
    ]


def test_a_branch_repeats_the_stable_stretch_of_the_long_run() -> None:
    settings = ScheduleSettings(shape="wsd", warmup_steps=4, decay_steps=10)
    long, short = (
        [learning_rate(settings, 1.0, step, steps) for step in range(steps)] for steps in (100, 50)
    )
    assert short[:40] == long[:40]
    assert short[40:] == long[90:]


def test_only_wsd_has_steps_of_decay() -> None:
    with pytest.raises(ValueError, match="decay_steps = 3 is for shape = 'wsd'"):
        ScheduleSettings(decay_steps=3)
