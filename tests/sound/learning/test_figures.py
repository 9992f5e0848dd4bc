import pytest
import torch

from chiasm.sound.kinds import MdctSettings
from chiasm.sound.learning.figures import held_out_figures, log_spectral_distance
from chiasm.sound.learning.sounds import Sounds
from chiasm.sound.spectrum import Spectrum


def test_a_sound_twice_as_loud_is_six_decibels_away(sounds) -> None:
    true = torch.from_numpy(sounds.chirp(8000, 8000))[None, None]
    true = true + 0.1 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    spectrum = Spectrum(40)
    assert float(log_spectral_distance(true, true, spectrum)) == 0
    assert float(log_spectral_distance(2 * true, true, spectrum)) == pytest.approx(6.02, abs=0.02)
    # Behind the sound all is silent, which is not counted.
    silence = torch.zeros_like(true)
    longer, louder = (torch.cat((x, silence), dim=2) for x in (true, 2 * true))
    assert float(log_spectral_distance(louder, longer, spectrum)) == pytest.approx(6.02, abs=0.1)


def test_what_loses_nothing_has_the_figures_of_the_truth(sounds) -> None:
    tokenizer = MdctSettings(rate=8000, seconds=0.5).open()
    generator = torch.Generator().manual_seed(0)

    def some(count: int) -> Sounds:
        loud = torch.randn(count, 1, 4000, generator=generator) * 0.1
        loud[::2, :, 2000:] = 0
        words = tuple("half" if number % 2 == 0 else "whole" for number in range(count))
        return Sounds(loud.numpy(), words, "noise", "")

    train, held_out = some(40), some(12)
    tokenizer.measure(train.batches(8), data="noise")
    figures = held_out_figures(tokenizer, train, held_out)
    assert figures["log_spectral_distance_decibels"] < 0.01
    assert figures["feature_distance"] < 1e-4
    assert figures["probe/words"] == figures["drawn_probe/words"]
    assert figures["majority/words"] == 0.5
