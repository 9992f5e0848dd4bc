"""A variational autoencoder of diffusers (``AutoencoderKL``: SD-VAE, FLUX.1) as a tokenizer.

Shape suffixes: B pictures, H and W height and width in pixels, P latent tokens of one picture,
C channels of a token (4 times the D of the autoencoder), Y and X rows and columns of its latents.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv 2112.10752).
Latents are the mode of the posterior, so that encoding is a function of the picture. 2 x 2 of them
make a token: at 8 pixels for each latent, a token stands for 16 x 16 pixels, as a patch of a vision
model does.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from chiasm.errors import UserError, setting
from chiasm.rgb import ImageShape
from chiasm.tokenizers.parts import hash_weights
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.published.checkpoint import (
    CONFIG,
    Checkpoint,
    find_checkpoint,
    unreadable_weights,
)
from chiasm.vision.published.part import PublishedPart
from chiasm.vision.published.preprocessing import TO_PLUS_MINUS_ONE
from chiasm.vision.tokenizer import PictureDecoder, PictureEncoder

PATCH = 2
"""Side of the square of latents that makes one token."""

IMAGE_PIXELS = 256
"""Side of the pictures unless a run says otherwise: 16 x 16 tokens at 8 pixels for each latent."""


@dataclass(frozen=True)
class VaeShape:
    """What the configuration says, before weights are read."""

    image_pixels: int
    grid: int
    channels: int
    scaling: float
    shift: float
    float32: bool
    """Whether the autoencoder must not run in lower precision (``force_upcast``)."""

    @property
    def image_shape(self) -> ImageShape:
        """Pictures and their grid of tokens."""
        return ImageShape(self.image_pixels, self.image_pixels, self.grid, self.grid)


class Vae(PublishedPart, PictureEncoder, PictureDecoder, kind="AutoencoderKL"):
    """Pictures to the scaled and shifted mode of the posterior, 2 x 2 of it a token, and back."""

    preprocessing = str(TO_PLUS_MINUS_ONE)

    def __init__(self, vae: Any, shape: VaeShape, checkpoint: Checkpoint) -> None:
        """``vae`` is an ``AutoencoderKL`` in float32."""
        super().__init__(shape.image_shape, shape.channels)
        self.vae = vae
        self.shape = shape
        self.checkpoint = checkpoint
        self.cuda_dtype = torch.float32 if shape.float32 else torch.bfloat16
        self.weights_sha256 = hash_weights(vae)

    def features(self, images_B3HW: Tensor) -> Tensor:
        """(mode - shift) * scaling, [B, P, C]."""
        pixels = TO_PLUS_MINUS_ONE.normalise(images_B3HW).to(self.vae.dtype)
        mode_BDYX = self.vae.encode(pixels).latent_dist.mode().float()
        scaled_BDYX = (mode_BDYX - self.shape.shift) * self.shape.scaling
        return functional.pixel_unshuffle(scaled_BDYX, PATCH).flatten(2).mT

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """The inverse of :meth:`features`, as far as the autoencoder is one."""
        scaled_BDYX = functional.pixel_shuffle(raw_BPC.mT.unflatten(2, self.grid), PATCH)
        mode_BDYX = scaled_BDYX / self.shape.scaling + self.shape.shift
        return TO_PLUS_MINUS_ONE.restore(
            self.vae.decode(mode_BDYX.to(self.vae.dtype)).sample.float()
        )

    def describe(self) -> dict[str, Any]:
        """Returns where the weights are, their hash, and the size of pictures."""
        return super().describe() | {"image_pixels": self.shape.image_pixels}

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Any:
        """Returns the autoencoder, with its weights.

        Raises:
            UserError: they are gone, or others than they were.
        """
        checkpoint = find_checkpoint(described["path"], "path", described["revision"])
        vae = _load_vae(checkpoint, describe_vae(checkpoint, described["image_pixels"]))
        return vae.as_described(described)


def describe_vae(checkpoint: Checkpoint, image_pixels: int | None) -> VaeShape:
    """What the autoencoder's configuration says; no weights are read.

    Raises:
        UserError: it is no AutoencoderKL, or the picture size does not fit.
    """
    content = checkpoint.read_json(CONFIG)
    kind = content.get("_class_name", content.get("model_type"))
    if kind != "AutoencoderKL":
        raise checkpoint.unfit(
            f"is of class {kind}, and {setting('kind')} = 'vae' wants an AutoencoderKL",
            f"set {setting('kind')} = 'rae' for a vision model, or name the subfolder that holds "
            "the autoencoder, such as owner/name/vae",
        )
    from diffusers import AutoencoderKL  # slow to import

    config = {**_defaults(AutoencoderKL), **content}
    if (config["in_channels"], config["out_channels"]) != (3, 3):
        raise checkpoint.unfit("does not read and write pictures of 3 colours")
    token_pixels = PATCH * 2 ** (len(config["block_out_channels"]) - 1)
    side = image_pixels or IMAGE_PIXELS
    if side % token_pixels:
        raise UserError(
            f"is not a multiple of the {token_pixels} pixels of a token of {checkpoint.name}",
            setting="image_pixels",
            value=side,
            remedy="choose one",
        )
    return VaeShape(
        side,
        side // token_pixels,
        config["latent_channels"] * PATCH**2,
        config["scaling_factor"],
        config["shift_factor"] or 0.0,
        config["force_upcast"],
    )


def open_published_vae(path: str, image_pixels: int | None = None) -> Tokenizer:
    """The tokenizer, with neutral statistics.

    Raises:
        UserError: as :func:`describe_vae`, there is none, or its weights cannot be read.
    """
    checkpoint = find_checkpoint(path, "path")
    vae = _load_vae(checkpoint, describe_vae(checkpoint, image_pixels))
    label = f"AutoencoderKL at {vae.shape.image_pixels} pixels, weights {vae.weights_sha256[:16]}"
    guess = LatentStatistics.neutral(vae.channels, 0.0, 1.0, label, vae.preprocessing)
    return Tokenizer(f"vae {checkpoint.name}", vae, vae, guess)


def _load_vae(checkpoint: Checkpoint, shape: VaeShape) -> Vae:
    from diffusers import AutoencoderKL

    try:
        vae = AutoencoderKL.from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,  # what it is without accelerate, which is not needed
            torch_dtype=torch.float32,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise unreadable_weights(checkpoint, error) from error
    return Vae(vae, shape, checkpoint)


def _defaults(kind: Any) -> dict[str, Any]:
    """Defaults of a diffusers model's configuration, which its files may leave out."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
