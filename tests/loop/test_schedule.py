from itertools import pairwise

import pytest

from chiasm.loop.schedule import ScheduleSettings, learning_rate_share


@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_rises_peaks_and_ends_at_the_floor(shape: str) -> None:
    settings = ScheduleSettings(shape=shape, warmup_steps=10, floor=0.2)
    shares = [learning_rate_share(settings, step, 110) for step in range(110)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == shares[10] == 1.0
    assert shares[-1] == pytest.approx(0.2)
    assert all(a >= b for a, b in pairwise(shares[10:]))
    assert min(shares[10:]) == shares[-1]


def test_half_way_values() -> None:
    for shape, warmup in (("cosine", 0), ("linear", 0)):
        settings = ScheduleSettings(shape=shape, warmup_steps=warmup, floor=0.0)
        assert learning_rate_share(settings, 50, 101) == pytest.approx(0.5)


def test_runs_shorter_than_the_warm_up_stay_finite() -> None:
    settings = ScheduleSettings(warmup_steps=60)
    assert [learning_rate_share(settings, step, 3) for step in range(3)] == [
        pytest.approx((step + 1) / 60) for step in range(3)
    ]
