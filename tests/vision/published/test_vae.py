"""Published variational autoencoders as tokenizers, against diffusers' own passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from chiasm.errors import UserError
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.kinds import VaeSettings
from chiasm.vision.tokenizer import as_floats, patches

Published = Callable[[str], Path]


def opened(folder: Path, side: int = 32) -> Tokenizer:
    return open_tokenizer(VaeSettings(path=str(folder), image_pixels=side))


@pytest.mark.parametrize(("name", "channels"), [("sd_vae", 16), ("flux_vae", 64)])
def test_tokens_are_four_scaled_latents(
    published: Published, pictures: Tensor, name: str, channels: int
) -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(published(name)).eval()
    shift = vae.config.shift_factor or 0.0
    with torch.no_grad():
        mode = vae.encode(as_floats(pictures) * 2 - 1).latent_dist.mode()
    expected = (mode - shift) * vae.config.scaling_factor
    tokenizer = opened(published(name))
    found = tokenizer.encoder.features(as_floats(pictures))
    assert found.shape == (5, 4, channels)
    for token, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        square = expected[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        torch.testing.assert_close(found[:, token], square.flatten(1), atol=1e-5, rtol=0)
    with torch.no_grad():
        drawn = vae.decode(mode).sample / 2 + 0.5
    torch.testing.assert_close(tokenizer.decoder.draw(found), drawn, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["sd_vae", "flux_vae"])
@pytest.mark.parametrize("size", [(16, 64), (48, 16)])
def test_pictures_of_their_own_shapes_are_the_librarys(
    published: Published, name: str, size: tuple[int, int]
) -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(published(name)).eval()
    shown = torch.randint(256, (2, 3, *size), dtype=torch.uint8)
    with torch.no_grad():
        mode = vae.encode(as_floats(shown) * 2 - 1).latent_dist.mode()
        drawn = vae.decode(mode).sample / 2 + 0.5
    settings = VaeSettings(path=str(published(name)), image_pixels=32, shape="native")
    tokenizer, grid = open_tokenizer(settings), (size[0] // 16, size[1] // 16)
    assert tokenizer.encoder.grid_of(shown[0].permute(1, 2, 0).numpy()) == grid
    latents = tokenizer.encode(shown)
    expected = (mode - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor
    torch.testing.assert_close(latents, patches(expected, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        tokenizer.decode(latents, grid), drawn.clamp(0, 1), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", ["sd_vae", "flux_vae"])
def test_round_trip_and_standardized_latents(
    published: Published, pictures: Tensor, name: str
) -> None:
    tokenizer = opened(published(name))
    tokenizer.measure(iter([pictures]), data="noise")
    latents = tokenizer.encode(pictures)
    assert latents.mean(dim=(0, 1)).abs().max() < 1e-4
    drawn = tokenizer.decode(latents)
    assert drawn.shape == pictures.shape
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert torch.equal(latents, tokenizer.encode(pictures))


def test_pictures_of_256_pixels_have_256_tokens(published: Published) -> None:
    settings = VaeSettings(path=str(published("sd_vae")))
    shape = open_tokenizer(settings).image_shape
    assert (shape.height_pixels, shape.num_tokens) == (256, 256)


def test_a_size_of_broken_tokens_is_refused(published: Published) -> None:
    with pytest.raises(UserError, match="image_pixels = 40 is not a multiple of the 16 pixels"):
        opened(published("sd_vae"), 40)


def test_a_vision_model_is_no_autoencoder(published: Published) -> None:
    with pytest.raises(UserError, match=r"is of class dinov2, and kind = 'vae' wants"):
        opened(published("dinov2"))


def test_a_path_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"kind = 'vae' needs path"):
        open_tokenizer(VaeSettings())


@pytest.mark.parametrize("settings", [{"layers": 3}, {"decoder": "somewhere"}])
def test_settings_of_other_kinds_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        VaeSettings(path="somewhere", **settings)
