import numpy as np
import pytest

from chiasm.inference.sounds import log_mel, log_mel_distance

RATE = 8000


@pytest.fixture
def noise_NAT() -> np.ndarray:
    """Three noises of two channels, loud in every band; half a hop more than whole hops."""
    return np.random.default_rng(0).normal(0, 0.2, (3, 2, 4050)).astype(np.float32)


def test_a_tenth_of_the_amplitude_is_20_decibels_apart(noise_NAT):
    apart_N = log_mel_distance(log_mel(noise_NAT / 10, RATE), log_mel(noise_NAT, RATE))
    np.testing.assert_allclose(apart_N, 20, atol=1e-3)


def test_one_louder_channel_of_two_is_heard(noise_NAT):
    louder_NAT = noise_NAT.copy()
    louder_NAT[:, 0] *= 10
    apart_N = log_mel_distance(log_mel(louder_NAT, RATE), log_mel(noise_NAT, RATE))
    np.testing.assert_allclose(apart_N, 20 / np.sqrt(2), atol=1e-3)


def test_a_full_sine_is_loudest_at_0_and_silence_at_80_decibels_below():
    sine_T = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    sounds_NAT = np.stack([sine_T, np.zeros(RATE)])[:, None].astype(np.float32)
    sine_L, silence_L = log_mel(sounds_NAT, RATE)
    assert -6 < sine_L.max() < 6  # of two bands that share a sine each has a part
    np.testing.assert_allclose(silence_L, -80, atol=1e-3)
