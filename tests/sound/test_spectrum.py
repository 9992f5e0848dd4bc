import numpy as np
import pytest
import torch

from chiasm.sound.spectrum import Spectrum


@pytest.mark.parametrize("hop", [10, 25, 100])
def test_the_inverse_gives_the_sound_back(hop: int) -> None:
    spectrum = Spectrum(hop)
    given = torch.randn(3, 40 * hop, generator=torch.Generator().manual_seed(0))
    spectra = spectrum(given)
    assert spectra.shape == (3, 40, 2 * hop + 1)
    assert torch.allclose(spectrum.inverse(spectra), given, atol=1e-4)


def test_a_sine_has_its_amplitude_and_silence_around_it() -> None:
    spectrum = Spectrum(100)
    sine = 0.5 * torch.sin(2 * np.pi * 1000 * torch.arange(8000) / 8000)[None]
    magnitudes = spectrum(sine).abs()[0]
    assert torch.allclose(magnitudes[5:-5].max(dim=1).values, torch.tensor(0.5), atol=1e-3)
    assert (magnitudes[5:-5].argmax(dim=1) == 50).all()
    assert float(magnitudes[0].max()) < 0.4  # zeros stand before the first sample
