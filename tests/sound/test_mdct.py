import numpy as np
import pytest
import torch

from chiasm.documents import Sound
from chiasm.errors import UserError
from chiasm.sound.kinds import MdctSettings
from chiasm.sound.mdct import QUIET
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.waveform import Waveform


def sound(channels: int = 1, samples: int = 8000, seed: int = 0) -> torch.Tensor:
    return 0.2 * torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_lost_and_energy_stays(channels: int) -> None:
    mdct = MdctSettings(rate=8000, channels=channels).open().encoder
    given = sound(channels)
    latents = mdct.encode(given)
    assert latents.shape == (2, 50, channels * 160)
    assert torch.allclose(mdct.decode(latents), given, atol=1e-6)
    frequencies = latents.double().sinh() * QUIET
    assert float(frequencies.square().sum() / given.double().square().sum()) == pytest.approx(1)


def test_a_tone_is_one_frequency_of_every_token() -> None:
    mdct = MdctSettings(rate=8000, token_samples=80).open().encoder
    tone = torch.sin(2 * np.pi * 1000 * torch.arange(8000) / 8000)[None, None]
    loud = (mdct.encode(tone)[0].sinh() * QUIET).abs()
    assert (loud.argmax(dim=1) // 2 == 10).all() or set(loud.argmax(dim=1).tolist()) <= {19, 20}
    away = loud[5, [0, 1, 2, 3, 60, 70, 79]]
    assert float(away.max()) < 1e-2 * float(loud[5].max())


def test_tokens_of_one_second_do_not_hear_another() -> None:
    """A change reaches half a token beyond its own, as windows overlap."""
    mdct = MdctSettings(rate=8000).open().encoder
    one = sound()
    other = one.clone()
    other[:, :, 4000:4160] += 0.1
    changed = (mdct.encode(one) != mdct.encode(other)).any(dim=2).any(dim=0)
    assert changed.nonzero().flatten().tolist() == [24, 25, 26]


def test_a_measured_tokenizer_gives_sounds_back_from_its_folder(tmp_path) -> None:
    tokenizer = open_tokenizer(MdctSettings(rate=8000))
    tokenizer.measure([sound(seed=n) for n in range(3)], data="noise")
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    latents = loaded.encode(sound(seed=9))
    assert float(latents.std()) == pytest.approx(1, abs=0.1)
    span = loaded.span(loaded.decode(latents)[0], "sound")
    assert isinstance(span, Sound)
    assert isinstance(span.data, Waveform)
    assert np.abs(span.samples(8000) - sound(seed=9)[0].numpy()).max() < 1e-5
    assert torch.allclose(loaded.read(span.data), sound(seed=9)[0], atol=1e-5)


def test_items_are_whole_tokens() -> None:
    with pytest.raises(ValueError, match=r"choose seconds = 0\.32\b"):
        MdctSettings(rate=8000, seconds=0.33)
    with pytest.raises(UserError, match=r"takes sounds of shape \(1, 8000\), not \(1, 7000\)"):
        MdctSettings(rate=8000).open().encoder.encode(sound(samples=7000))
