import numpy as np
import pytest

from chiasm.waveform.resampling import resampled

RATES = [
    *((48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_000, 44_100), (16_000, 8_000)),
    *((11_025, 16_000), (16_001, 16_000)),
]


def tone(hertz: float, rate: int, count: int) -> np.ndarray:
    return np.cos(2 * np.pi * hertz * np.arange(count) / rate).astype(np.float32)


def middle(x: np.ndarray) -> np.ndarray:
    return x[len(x) // 4 : -len(x) // 4]


@pytest.mark.parametrize(("rate", "wanted"), RATES)
def test_a_tone_stays_that_tone(rate: int, wanted: int) -> None:
    for hertz in (0, 440, 0.4 * min(rate, wanted)):
        made = resampled(tone(hertz, rate, rate // 2)[None], rate, wanted)
        assert made.dtype == np.float32
        assert made.shape == (1, -(-(rate // 2) * wanted // rate))
        true = tone(hertz, wanted, made.shape[1])
        assert np.abs(middle(made[0] - true)).max() < 1e-4


@pytest.mark.parametrize(("rate", "wanted"), [(48_000, 16_000), (44_100, 16_000), (16_001, 16_000)])
def test_a_tone_above_half_the_rate_is_gone(rate: int, wanted: int) -> None:
    made = resampled(
        tone(0.501 * wanted if rate < 17_000 else 0.53 * wanted, rate, rate)[None], rate, wanted
    )
    limit = 1e-4 if rate > 17_000 else 0.5  # an edge that is this near only begins to fall
    assert np.abs(middle(made[0])).max() < limit


def test_channels_are_apart_and_equal_rates_change_nothing() -> None:
    both = np.stack((tone(300, 8000, 800), np.zeros(800, np.float32)))
    assert resampled(both, 8000, 8000) is both
    made = resampled(both, 8000, 12_000)
    assert made[1].max() == 0
    assert np.abs(made[0]).max() > 0.9


@pytest.mark.parametrize("count", [1, 2, 47, 333])
def test_short_sounds_keep_their_length(count: int) -> None:
    for rate, wanted in RATES:
        made = resampled(np.ones((1, count), np.float32), rate, wanted)
        assert made.shape[1] == -(-count * wanted // rate)
        assert np.isfinite(made).all()
