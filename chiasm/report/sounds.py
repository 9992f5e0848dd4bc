"""Sounds for a page: as data URIs that need no second file, and as pictures.

Shape suffixes: T samples, W columns of a picture, S samples of a window, K frequencies, H rows.
"""

from __future__ import annotations

import io

import numpy as np

from chiasm.walk.pictures import data_url
from chiasm.waveform import Waveform, decoded

MOST_SECONDS = 10.0
"""Of a sound on a page: more are left out, and the label tells it."""
LEAST_RATE, MOST_RATE = 8_000, 48_000
"""Samples per second that browsers play; other sounds are resampled."""

COLUMNS, WAVEFORM_ROWS, SPECTROGRAM_ROWS = 288, 49, 96  # odd: zero is a row
QUIET = 0.05
"""Amplitude that a waveform's picture shows at its full height at least: silence stays a line."""
FLOOR = 1e-4
"""Magnitude that is drawn as nothing: 80 dB below a full sine, as the tokenizers' floor."""
WINDOW_SECONDS = 1 / 32

_GROUND, _LINE = (246, 247, 249), (11, 110, 143)
_LOUDNESS = np.array([_GROUND, (160, 205, 220), _LINE, (15, 23, 42)])
"""Colors of a spectrogram from the floor to a full sine."""


def data_uri(sound: Waveform) -> str:
    """Returns a sound as the value of an ``<audio src>``: FLAC of 16 bits, clipped at ±1.

    FLAC is played by all browsers; a second of speech at 16 kHz takes about 16 kB, half of a WAV.
    """
    import soundfile

    rate = min(max(sound.rate, LEAST_RATE), MOST_RATE)
    samples_CT = decoded(sound, rate, min(2, len(sound.samples_CT)))
    file = io.BytesIO()
    soundfile.write(file, samples_CT.T.clip(-1, 1), rate, format="FLAC", subtype="PCM_16")
    return data_url(file.getvalue(), "audio/flac")


def picture(sound: Waveform) -> np.ndarray:
    """Returns a sound's waveform above its spectrogram, channels averaged: uint8 [H, W, 3].

    The waveform is as high as its own peak. The spectrogram has a mel scale from 0 at the bottom to
    half the rate, and the same colors for the same loudness in every picture.
    """
    mean_T = sound.samples_CT.mean(axis=0)
    return np.concatenate([_waveform(mean_T), _spectrogram(mean_T, sound.rate)])


def _waveform(x_T: np.ndarray) -> np.ndarray:
    begin_W = np.arange(COLUMNS) * len(x_T) // COLUMNS
    peak = max(QUIET, float(np.abs(x_T).max()))
    low_W, high_W = (ends.reduceat(x_T, begin_W) / peak for ends in (np.minimum, np.maximum))
    height_H1 = np.linspace(1, -1, WAVEFORM_ROWS)[:, None]
    half = 1 / WAVEFORM_ROWS
    inked_HW = (height_H1 >= low_W - half) & (height_H1 <= high_W + half)
    return np.where(inked_HW[..., None], _LINE, _GROUND).astype(np.uint8)


def _spectrogram(x_T: np.ndarray, rate: int) -> np.ndarray:
    size = 2 * max(16, round(rate * WINDOW_SECONDS / 2))
    middle_W = (2 * np.arange(COLUMNS) + 1) * len(x_T) // (2 * COLUMNS)
    window_S = np.hanning(size + 1)[:-1]
    padded_T = np.pad(x_T, (size // 2, size))
    frames_WS = np.lib.stride_tricks.sliding_window_view(padded_T, size)[middle_W] * window_S
    magnitude_WK = np.abs(np.fft.rfft(frames_WS)) * (2 / window_S.sum())
    loudness_WK = 1 - np.log(magnitude_WK.clip(FLOOR, 1)) / np.log(FLOOR)
    highest_mel = np.log1p(rate / 2 / 700)
    hertz_H = 700 * np.expm1(np.linspace(highest_mel, 0, SPECTROGRAM_ROWS))
    place_H = hertz_H / (rate / 2) * (loudness_WK.shape[1] - 1)
    below_H = np.minimum(place_H.astype(int), loudness_WK.shape[1] - 2)
    above_H1 = (place_H - below_H)[:, None]
    loudness_KW = loudness_WK.T
    shown_HW = loudness_KW[below_H] * (1 - above_H1) + loudness_KW[below_H + 1] * above_H1
    steps = np.linspace(0, 1, len(_LOUDNESS))
    colors = [np.interp(shown_HW, steps, _LOUDNESS[:, channel]) for channel in range(3)]
    return np.stack(colors, axis=-1).round().astype(np.uint8)
