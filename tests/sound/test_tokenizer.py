import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.sound.kinds import MdctSettings
from chiasm.waveform import Waveform


def test_a_sound_is_resampled_and_filled_with_silence(sounds) -> None:
    encoder = MdctSettings(rate=8000, seconds=0.5).open().encoder
    item = encoder.read(sounds.written(sounds.chirp(4800, 16_000), 16_000))
    assert item.shape == (1, 4000)
    assert float(item[:, 2400:].abs().max()) == 0
    assert float(item[:, :2400].abs().max()) > 0.3
    assert encoder.read(Waveform(np.ones((2, 800), np.float32), 8000)).shape == (1, 4000)


def test_a_longer_sound_is_refused_and_one_of_a_few_samples_more_is_cut(sounds) -> None:
    encoder = MdctSettings(rate=8000, seconds=0.5).open().encoder
    assert encoder.read(Waveform(sounds.chirp(4035), 8000)).shape == (1, 4000)
    with pytest.raises(UserError, match=r"0\.51 seconds, more than the 0\.5 .*clip_seconds"):
        encoder.read(Waveform(sounds.chirp(4080), 8000))
