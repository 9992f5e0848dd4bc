import pytest
import torch
from torch.distributions import Normal, kl_divergence

from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision import kl_autoencoder
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.settings import AutoencoderSettings
from chiasm.vision.tokenizer import patches, seeded


def test_kl_against_torch_distributions() -> None:
    mean, log_variance = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = kl_autoencoder.kl_divergence(mean, log_variance)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("downsampling", "side"), [(4, 8), (8, 4), (16, 2)])
def test_tokens_and_back(downsampling, side) -> None:
    settings = AutoencoderSettings(image_pixels=64, downsampling=downsampling, channels=3, width=8)
    autoencoder = seeded(0, Autoencoder, settings)
    neutral = LatentStatistics((0.0,) * 12, (1.0,) * 12, "e", "p", "d", 1)
    tokenizer = Tokenizer("vae", autoencoder, autoencoder, neutral)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    latents = tokenizer.encode(images)
    assert latents.shape == (2, side**2, 12)
    assert (tokenizer.image_shape.rows, tokenizer.image_shape.columns) == (side, side)
    mean, log_variance = autoencoder.moments(images)
    assert mean.shape == log_variance.shape == (2, 3, 64 // downsampling, 64 // downsampling)
    torch.testing.assert_close(autoencoder.draw(latents), autoencoder.pictures(mean))
    # A token's channels are the 2 x 2 latents of its place.
    torch.testing.assert_close(
        patches(mean, 2)[0, 1].unflatten(0, (3, 2, 2)), mean[0, :, :2, 2:4], atol=0, rtol=0
    )


def test_pictures_of_their_own_shapes_and_back() -> None:
    settings = AutoencoderSettings(image_pixels=64, downsampling=4, channels=3, width=8)
    autoencoder = seeded(0, Autoencoder, settings)
    neutral = LatentStatistics((0.0,) * 12, (1.0,) * 12, "e", "p", "d", 1)
    tokenizer = Tokenizer("vae", autoencoder, autoencoder, neutral)
    tokenizer.vary()
    images = torch.rand(2, 3, 32, 128, generator=torch.Generator().manual_seed(0))
    latents = tokenizer.encode(images)
    mean, _ = autoencoder.moments(images)
    assert torch.equal(latents, patches(mean, 2))
    drawn = autoencoder.pictures(mean).clamp(0, 1)
    torch.testing.assert_close(tokenizer.decode(latents, (4, 16)), drawn)
    assert tokenizer.grid == autoencoder.grid == (8, 8)


def test_pictures_that_are_no_whole_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="image_pixels = 40 is not a multiple of the 16 pixels"):
        AutoencoderSettings(image_pixels=40)
