import base64
import io

import numpy as np
import pytest
import soundfile

from chiasm.report.sounds import COLUMNS, SPECTROGRAM_ROWS, WAVEFORM_ROWS, data_uri, picture
from chiasm.waveform import Waveform


def tone(hertz: float, rate: int = 16_000, seconds: float = 1.0, channels: int = 1) -> Waveform:
    times = np.arange(round(rate * seconds)) / rate
    return Waveform(np.tile(0.5 * np.sin(2 * np.pi * hertz * times), (channels, 1)), rate)


def heard(uri: str) -> tuple[np.ndarray, int]:
    head, content = uri.split(",", 1)
    assert head == "data:audio/flac;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)), always_2d=True)
    return samples.T, rate


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_played_is_the_sound_to_16_bits(channels: int) -> None:
    sound = tone(440, channels=channels)
    samples_CT, rate = heard(data_uri(sound))
    assert rate == sound.rate
    assert samples_CT.shape == sound.samples_CT.shape
    assert np.abs(samples_CT - sound.samples_CT).max() < 2 / (1 << 15)


def test_values_beyond_one_are_clipped_and_not_wrapped() -> None:
    samples_CT, _ = heard(data_uri(Waveform(np.linspace(-3, 3, 1600), 16_000)))
    assert np.all(np.diff(samples_CT) >= 0)


@pytest.mark.parametrize(("rate", "played"), [(2_000, 8_000), (96_000, 48_000)])
def test_rates_that_browsers_do_not_play_are_changed(rate: int, played: int) -> None:
    samples_CT, found = heard(data_uri(tone(440, rate=rate)))
    assert found == played
    assert samples_CT.shape == (1, played)


def test_noise_takes_less_than_16_bits_of_wav() -> None:
    speech = 0.05 * np.random.default_rng(0).standard_normal(16_000)
    assert len(data_uri(Waveform(speech, 16_000))) < 32_000 * 4 / 3


def darkness(pixels: np.ndarray) -> np.ndarray:
    return 255 - pixels.astype(int).mean(axis=2)


def test_a_picture_shows_when_and_how_high_a_sound_is() -> None:
    half = np.concatenate([np.zeros(8000), tone(2000, seconds=0.5).samples_CT[0]])
    drawn = darkness(picture(Waveform(half, 16_000)))
    assert drawn.shape == (WAVEFORM_ROWS + SPECTROGRAM_ROWS, COLUMNS)
    wave, spectrum = drawn[:WAVEFORM_ROWS], drawn[WAVEFORM_ROWS:]
    for part in (wave, spectrum):
        assert part[:, COLUMNS // 2 + 9 :].mean() > 2 * part[:, : COLUMNS // 2 - 9].mean()
    rows = [
        darkness(picture(tone(hertz)))[WAVEFORM_ROWS:, COLUMNS // 2].argmax()
        for hertz in (3000, 1000, 300)
    ]
    assert rows == sorted(rows)  # higher tones stand higher
    mels = [np.log1p(hertz / 700) / np.log1p(8000 / 700) for hertz in (3000, 1000, 300)]
    places = [1 - row / (SPECTROGRAM_ROWS - 1) for row in rows]
    assert places == pytest.approx(mels, abs=0.03)


@pytest.mark.parametrize("samples", [1, 30, 100_000])
def test_silence_and_sounds_of_any_length_have_a_picture(samples: int) -> None:
    drawn = picture(Waveform(np.zeros(samples), 8000))
    assert drawn.dtype == np.uint8
    line = darkness(drawn)[:WAVEFORM_ROWS]
    assert np.all((line > line.min()).sum(axis=0) == 1)
    assert len(np.unique(drawn[WAVEFORM_ROWS:].reshape(-1, 3), axis=0)) == 1
