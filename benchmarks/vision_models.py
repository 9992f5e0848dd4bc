"""What the vision benchmark compares: tokenizers, each beside the bare call that it is made of.

Published models have random weights and are saved as their authors save them, in the shape of
small ones; the call beside them is the library's own, on pixels that are prepared already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.kinds import PixelSettings, RaeSettings, VaeSettings
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.settings import AutoencoderSettings
from chiasm.vision.tokenizer import seeded

WIDTH, LAYERS, HEADS, PATCH = 192, 6, 3, 14
"""Of the vision models: ViT-Ti with half its blocks; 256 tokens at 224 pixels."""

SIDE, VAE_SIDE = 224, 128
"""Sides of the pictures that vision models and diffusers' autoencoders read."""

SO400M: dict[str, int] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
}
"""The vision tower of SigLIP 2 So400m/14 at 224 pixels."""

COLOURS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True)
class Contender:
    """A tokenizer and the bare calls on the same batch; no ``bare_decode``: it cannot draw."""

    name: str
    tokenizer: Tokenizer
    images_B3HW: Tensor
    """uint8."""
    bare_encode: Callable[[], Any]
    bare_decode: Callable[[], Any] | None


def contenders(folder: Path, device: torch.device, pictures: int) -> Iterator[Contender]:
    """All of them, one after another; ``pictures`` of those with the largest models."""
    yield _vision_model("SigLIP 2", siglip(folder / "siglip"), device, pictures)
    yield _vision_model("DINOv2", _dinov2(folder / "dinov2"), device, pictures)
    yield _autoencoder_rae(folder / "rae", device, pictures)
    yield _autoencoder_kl(folder / "vae", device, pictures)
    yield _own_vae(device, 4 * pictures)
    yield _shipped(device, 16 * pictures)
    yield _pixels(device, 16 * pictures)


def siglip(folder: Path, side: int = SIDE, **tower: int) -> Path:
    """A SigLIP with random weights; its text tower is as small as can be."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "patch_size": PATCH,
        "image_size": side,
        **tower,
    }
    text = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 50_000,
    }
    config = SiglipConfig(vision_config=vision, text_config=text)
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": side, "width": side}, **COLOURS).save_pretrained(folder)
    return folder


def _dinov2(folder: Path) -> Path:
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    shape = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    Dinov2Model(Dinov2Config(**shape, patch_size=PATCH, image_size=SIDE)).save_pretrained(folder)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    BitImageProcessorPil(**size, **COLOURS).save_pretrained(folder)
    return folder


def _vision_model(name: str, folder: Path, device: torch.device, pictures: int) -> Contender:
    from transformers import AutoModel

    tokenizer = RaeSettings(path=str(folder)).open().to(device)
    images = _images(pictures, tokenizer).to(device)
    model = AutoModel.from_pretrained(folder, dtype=_dtype(tokenizer)).to(device).eval()
    tower = getattr(model, "vision_model", model)
    pixels = (images.float() / 255 * 2 - 1).to(_dtype(tokenizer))
    return _contender(name, tokenizer, images, lambda: tower(pixel_values=pixels), None)


def _autoencoder_rae(folder: Path, device: torch.device, pictures: int) -> Contender:
    from diffusers import AutoencoderRAE

    model = AutoencoderRAE(
        encoder_type="dinov2",
        encoder_hidden_size=WIDTH,
        encoder_patch_size=PATCH,
        encoder_num_hidden_layers=LAYERS,
        encoder_input_size=SIDE,
        decoder_hidden_size=WIDTH,
        decoder_num_hidden_layers=LAYERS,
        decoder_num_attention_heads=HEADS,
        decoder_intermediate_size=4 * WIDTH,
        patch_size=PATCH,
    )
    model.save_pretrained(folder)
    tokenizer = RaeSettings(path=str(folder)).open().to(device)
    images = _images(pictures, tokenizer).to(device)
    model = model.to(device, _dtype(tokenizer)).eval()
    floats = (images.float() / 255).to(_dtype(tokenizer))
    with torch.no_grad():
        latents = model.encode(floats).latent
    return _contender(
        "AutoencoderRAE",
        tokenizer,
        images,
        lambda: model.encode(floats),
        lambda: model.decode(latents),
    )


def _autoencoder_kl(folder: Path, device: torch.device, pictures: int) -> Contender:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=8,
        latent_channels=16,
        sample_size=VAE_SIDE,
        force_upcast=False,
    )
    vae.save_pretrained(folder)
    settings = VaeSettings(path=str(folder), image_pixels=VAE_SIDE)
    tokenizer = settings.open().to(device)
    images = _images(pictures, tokenizer).to(device)
    vae = vae.to(device, _dtype(tokenizer)).eval()
    pixels = (images.float() / 255 * 2 - 1).to(_dtype(tokenizer))
    with torch.no_grad():
        mode = vae.encode(pixels).latent_dist.mode()
    return _contender(
        "AutoencoderKL",
        tokenizer,
        images,
        lambda: vae.encode(pixels).latent_dist.mode(),
        lambda: vae.decode(mode),
    )


def _own_vae(device: torch.device, pictures: int) -> Contender:
    settings = AutoencoderSettings()
    autoencoder = seeded(0, Autoencoder, settings)
    tokenizer = Tokenizer("vae", autoencoder, autoencoder).to(device)
    images = _images(pictures, tokenizer).to(device)
    floats = images.float() / 255
    with torch.no_grad():
        mean, _ = autoencoder.moments(floats)
    return _contender(
        "variational autoencoder trained here",
        tokenizer,
        images,
        lambda: autoencoder.moments(floats),
        lambda: autoencoder.pictures(mean),
    )


def _shipped(device: torch.device, pictures: int) -> Contender:
    tokenizer: Any = RaeSettings().open().to(device)
    images = _images(pictures, tokenizer).to(device)
    floats = images.float() / 255
    with torch.no_grad():
        latents = tokenizer.decoder.statistics.standardize(tokenizer.encoder(floats))
    return _contender(
        "shipped",
        tokenizer,
        images,
        lambda: tokenizer.encoder(floats),
        lambda: tokenizer.decoder(latents),
    )


def _pixels(device: torch.device, pictures: int) -> Contender:
    settings = PixelSettings()
    tokenizer = settings.open().to(device)
    images = _images(pictures, tokenizer).to(device)
    floats = images.float() / 255
    patches = functional.pixel_unshuffle(floats, settings.patch_pixels)
    return _contender(
        "pixels",
        tokenizer,
        images,
        lambda: functional.pixel_unshuffle(floats, settings.patch_pixels).clone(),
        lambda: functional.pixel_shuffle(patches, settings.patch_pixels).clone(),
    )


def _contender(
    name: str,
    tokenizer: Tokenizer,
    images: Tensor,
    encode: Callable[[], Any],
    decode: Callable[[], Any] | None,
) -> Contender:
    tokenizer.measure([images], data="noise")
    return Contender(name, tokenizer, images, encode, decode)


def _images(count: int, tokenizer: Tokenizer) -> Tensor:
    shape = tokenizer.image_shape
    generator = torch.Generator().manual_seed(0)
    size = (count, 3, shape.height_pixels, shape.width_pixels)
    return torch.randint(256, size, dtype=torch.uint8, generator=generator)


def _dtype(tokenizer: Tokenizer) -> torch.dtype:
    return next(tokenizer.parameters()).dtype
