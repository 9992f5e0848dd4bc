"""A portable folder holds published weights, in the layout of the library that owns them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.tokenizers.settings import TOKENIZERS, open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.tokenizer import as_floats

Published = Callable[[str], Path]


def opened(settings: dict[str, Any], folder: Path, published: Published) -> Tokenizer:
    """A tokenizer of copies of published models, with measured statistics."""
    paths = {}
    for name in {"path", "decoder"} & settings.keys():
        paths[name] = str(folder / settings[name])
        shutil.copytree(published(settings[name]), paths[name])
    tokenizer = open_tokenizer(TOKENIZERS.of(settings.get("kind", "rae"))(**settings | paths))
    side = tokenizer.image_shape.height_pixels
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(256, (4, 3, side, side), generator=generator, dtype=torch.uint8)
    tokenizer.measure([pictures], data=f"{folder}/pictures (train, 4 documents)")
    return tokenizer


@pytest.mark.parametrize(
    "settings",
    [
        {"path": "siglip2"},
        {"path": "naflex", "layers": [1, 2], "image_pixels": 40},
        {"path": "rae_encoder", "decoder": "rae"},
        {"path": "rae"},
        {"kind": "vae", "path": "flux_vae", "image_pixels": 32},
    ],
    ids=lambda settings: settings["path"],
)
def test_it_needs_nothing_else(
    published: Published, tmp_path: Path, settings: dict[str, Any]
) -> None:
    tokenizer = opened(settings, tmp_path / "there", published)
    side = tokenizer.image_shape.height_pixels
    images = torch.randint(256, (2, 3, side, side), dtype=torch.uint8)
    latents = tokenizer.encode(images)
    drawn = tokenizer.decode(latents) if tokenizer.decodes else None
    save_tokenizer(tokenizer, tmp_path / "kept", portable=True)
    shutil.rmtree(tmp_path / "there")
    moved = (tmp_path / "kept").rename(tmp_path / "moved")
    again = load_tokenizer(moved)
    assert torch.equal(again.encode(images), latents)
    if drawn is not None:
        assert torch.equal(again.decode(latents), drawn)
    assert again.statistics.data == "pictures (train, 4 documents)"
    told = [path.read_text() for path in moved.rglob("*.json")]
    assert len(told) >= 2
    assert not any(str(tmp_path) in text for text in told)


def test_diffusers_encodes_and_decodes_as_the_tokenizer(
    published: Published, pictures: Tensor, tmp_path: Path
) -> None:
    """Its latents are standardized as those that the decoder-only model reads."""
    from diffusers import AutoencoderRAE

    tokenizer = opened({"path": "rae"}, tmp_path, published)
    save_tokenizer(tokenizer, tmp_path / "kept", portable=True)
    autoencoder = AutoencoderRAE.from_pretrained(tmp_path / "kept" / "autoencoder").eval()
    before = AutoencoderRAE.from_pretrained(published("rae")).eval()
    images = as_floats(pictures)
    with torch.no_grad():
        latents = autoencoder.encode(images).latent
        own = tokenizer.encode(pictures)
        torch.testing.assert_close(latents.flatten(2).mT, own, atol=1e-5, rtol=0)
        drawn = autoencoder(images).sample
        torch.testing.assert_close(drawn.clamp(0, 1), tokenizer.decode(own), atol=1e-5, rtol=0)
        torch.testing.assert_close(drawn, before(images).sample, atol=1e-5, rtol=0)
    assert before.config.latents_mean is None, "the published one has no statistics of its own"


def test_diffusers_opens_the_vae(published: Published, pictures: Tensor, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    settings = {"kind": "vae", "path": "sd_vae", "image_pixels": 32}
    tokenizer = opened(settings, tmp_path, published)
    save_tokenizer(tokenizer, tmp_path / "kept", portable=True)
    autoencoder = AutoencoderKL.from_pretrained(tmp_path / "kept" / "autoencoder").eval()
    with torch.no_grad():
        drawn = autoencoder(as_floats(pictures) * 2 - 1, sample_posterior=False).sample / 2 + 0.5
    own = tokenizer.decode(tokenizer.encode(pictures))
    torch.testing.assert_close(drawn.clamp(0, 1), own, atol=1e-4, rtol=0)


def test_transformers_opens_a_vision_model(published: Published, tmp_path: Path) -> None:
    from transformers import AutoModel

    save_tokenizer(
        opened({"path": "dinov2"}, tmp_path, published), tmp_path / "kept", portable=True
    )
    model, before = (
        AutoModel.from_pretrained(folder)
        for folder in (tmp_path / "kept" / "vision_model", published("dinov2"))
    )
    told = [dict(own.state_dict()) for own in (model, before)]
    assert told[0].keys() == told[1].keys()
    assert all(torch.equal(own, told[1][name]) for name, own in told[0].items())
    config = json.loads((tmp_path / "kept" / "vision_model" / "config.json").read_text())
    assert "_name_or_path" not in config
