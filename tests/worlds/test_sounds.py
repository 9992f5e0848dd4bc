import struct

import numpy as np
import pytest

from chiasm.worlds.maps import KIND_OF_NAME
from chiasm.worlds.sounds import (
    PERIOD_SAMPLES,
    SAMPLES_PER_SECOND,
    VOICE_OF_THING,
    VOICES,
    Voice,
    sound_lumps,
)

voices = pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.what)


def test_every_sound_has_a_thing_of_its_own():
    assert len(VOICE_OF_THING) == len({voice.what for voice in VOICES}) == len(VOICES)
    assert set(VOICE_OF_THING) <= set(KIND_OF_NAME)


@voices
def test_a_sound_fills_its_range_and_its_period(voice: Voice):
    samples = voice.samples()
    assert samples.shape == (PERIOD_SAMPLES,)
    assert np.abs(samples).max() == 1.0
    assert abs(samples.mean()) < 0.02


@pytest.mark.parametrize("what", ["hum", "buzz"])
def test_a_lasting_sound_has_no_seam(what: str):
    (samples,) = (voice.samples() for voice in VOICES if voice.what == what)
    around = np.abs(np.diff(np.concatenate([samples, samples[:1]])))
    assert around[-1] <= around[:-1].max()


@pytest.mark.parametrize("what", ["bell", "drip"])
def test_a_struck_sound_fades(what: str):
    (samples,) = (voice.samples() for voice in VOICES if voice.what == what)
    quarters = [np.square(part).mean() for part in np.split(samples, 4)]
    assert quarters == sorted(quarters, reverse=True)
    assert quarters[0] > 10 * quarters[-1]


def test_sounds_are_unlike_each_other():
    spectra = np.stack([np.abs(np.fft.rfft(voice.samples())) for voice in VOICES])
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    alike = spectra @ spectra.T - np.eye(len(VOICES))
    assert alike.max() < 0.5


def test_lumps_hold_what_the_table_names():
    (name, table), *lumps = sound_lumps()
    assert name == "SNDINFO"
    for voice, (lump, data) in zip(VOICES, lumps, strict=True):
        assert f"{voice.name} {lump}\n" in table.decode()
        assert len(lump) <= 8
        kind, rate, count = struct.unpack("<HHI", data[:8])
        assert (kind, rate, count) == (3, SAMPLES_PER_SECOND, PERIOD_SAMPLES)
        stored = np.frombuffer(data[8:], np.uint8)
        np.testing.assert_allclose(stored / 127.0 - 127.5 / 127.0, voice.samples(), atol=0.005)
