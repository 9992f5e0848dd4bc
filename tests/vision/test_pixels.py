import pytest
import torch
from pydantic import ValidationError

from chiasm.errors import UserError
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.kinds import PixelSettings


def pictures(count: int = 5, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def measured(settings: PixelSettings, pictures: torch.Tensor) -> Tokenizer:
    tokenizer = open_tokenizer(settings)
    tokenizer.measure(iter([pictures]), data="noise")
    return tokenizer


def settings(patch_pixels: int = 8) -> PixelSettings:
    return PixelSettings(image_pixels=32, patch_pixels=patch_pixels)


@pytest.mark.parametrize("patch_pixels", [1, 4, 8, 32])
def test_round_trip_is_exact(patch_pixels: int) -> None:
    tokenizer = measured(settings(patch_pixels), pictures())
    latents = tokenizer.encode(pictures().float() / 255)
    assert latents.shape == (5, (32 // patch_pixels) ** 2, 3 * patch_pixels**2)
    assert torch.equal((tokenizer.decode(latents) * 255).round().byte(), pictures())


def test_tokens_are_row_major_patches() -> None:
    images = torch.zeros(1, 3, 32, 32)
    images[:, :, 8:16, 24:32] = 1  # second row of patches, fourth column
    tokenizer = open_tokenizer(settings())
    bright = tokenizer.encode(images)[0].mean(dim=1)
    assert int(bright.argmax()) == 1 * 4 + 3


def test_measured_statistics_standardize() -> None:
    tokenizer = measured(settings(), pictures(40))
    latents = tokenizer.encode(pictures(40).float() / 255)
    tokenizer.statistics.refuse(latents)
    assert tokenizer.statistics.data == "noise"
    assert latents.mean().abs() < 1e-5


def test_white_pictures_need_measured_statistics() -> None:
    tokenizer = open_tokenizer(settings())
    latents = tokenizer.encode(torch.ones(4, 3, 32, 32) * 0.95)
    with pytest.raises(UserError, match="neutral guess"):
        tokenizer.statistics.refuse(latents)


def test_a_folder_keeps_it(tmp_path) -> None:
    tokenizer = measured(settings(), pictures(40))
    save_tokenizer(tokenizer, tmp_path / "pixels")
    again = load_tokenizer(tmp_path / "pixels")
    assert again.fingerprint == tokenizer.fingerprint
    images = pictures().float() / 255
    assert torch.equal(again.encode(images), tokenizer.encode(images))


def test_a_patch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValidationError, match="patch_pixels = 5 does not divide"):
        PixelSettings(image_pixels=32, patch_pixels=5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "pixels", "path": "mine"}, "unknown setting streams.image.path"),
        ({"kind": "rae", "patch_pixels": 16}, "unknown setting streams.image.patch_pixels"),
        ({"kind": "vae", "path": "mine", "layers": 3}, "unknown setting streams.image.layers"),
        (
            {"kind": "rea"},
            "kind = 'rea' is no kind of tokenizer; choose one of .*pixels, rae",
        ),
    ],
)
def test_settings_of_another_kind_are_not_passed_over(given, says) -> None:
    recipe = {"name": "it", "stream": {"sources": {}}, "streams": {"image": given}}
    with pytest.raises(UserError, match=says):
        parse_recipe(recipe)
