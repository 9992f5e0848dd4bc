import numpy as np
import pytest
import torch

from chiasm.errors import UserError
from chiasm.sound.kinds import MelSettings
from chiasm.sound.mel import mel_bands, spectra, tokens
from chiasm.sound.settings import MelShape
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer


def test_bands_cover_all_frequencies_and_are_widest_on_top() -> None:
    bands_KM = mel_bands(8000, 201, 40)
    assert float(bands_KM.max()) <= 1
    assert (bands_KM.sum(dim=0) > 0).all()
    inner = bands_KM[5:190].sum(dim=1)
    assert torch.allclose(inner, torch.ones_like(inner), atol=1e-6)  # neighbours add up to 1
    widths = (bands_KM > 0).sum(dim=0)
    assert widths[-1] > 3 * widths[1]


@pytest.mark.parametrize("channels", [1, 2])
def test_tokens_and_spectra_are_each_other(channels: int) -> None:
    settings = MelShape(rate=8000, channels=channels, hops_per_token=4, mels=8)
    log_mel_NFM = torch.randn(3 * channels, 80, 8)
    made = tokens(log_mel_NFM, settings)
    assert made.shape == (3, 20, channels * 32)
    assert torch.equal(spectra(made, settings), log_mel_NFM)
    # The first token holds the first four spectra of its sound's channels, and no other's.
    assert torch.equal(made[1, 0], log_mel_NFM[channels : 2 * channels, :4].flatten())


def test_sound_from_a_spectrogram_has_that_spectrogram(sounds) -> None:
    tokenizer = MelSettings(rate=8000).open()
    given = torch.from_numpy(np.stack([sounds.chirp(8000, 8000, n) for n in range(3)]))[:, None]
    latents = tokenizer.encoder.encode(given)
    assert latents.shape == (3, 40, 128)
    made = tokenizer.decoder.decode(latents)
    assert made.shape == given.shape
    loud = latents > -4
    again = tokenizer.encoder.encode(made)
    assert float((again - latents)[loud].abs().mean()) < 0.35  # 3 dB
    assert torch.equal(made, tokenizer.decoder.decode(latents))  # the same phases every time


def test_a_folder_gives_it_back(tmp_path, sounds) -> None:
    tokenizer = MelSettings(rate=8000, mels=32).open()
    given = torch.from_numpy(sounds.chirp(8000, 8000))[None, None]
    tokenizer.measure([given], data="chirps")
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert torch.equal(loaded.encode(given), tokenizer.encode(given))
    assert torch.equal(*(each.decode(each.encode(given)) for each in (loaded, tokenizer)))


def test_more_bands_than_a_spectrum_tells_apart_are_refused() -> None:
    with pytest.raises(UserError, match=r"mels = 200 are more bands than spectra of 400 samples"):
        MelSettings(rate=8000, mels=200).open()
