"""A variational autoencoder of diffusers (``AutoencoderKL``: SD-VAE, FLUX.1) as a tokenizer.

Shape suffixes: B images, H and W height and width in pixels, P latent tokens of one image, C
channels of a token (4 times the D of the autoencoder), Y and X rows and columns of its latents.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv 2112.10752).
Latents are the mode of the posterior, so that encoding is a function of the image. 2 x 2 of them
make a token: at 8 pixels for each latent, a token stands for 16 x 16 pixels, as a patch of a vision
model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chiasm.errors import UserError, setting
from chiasm.rgb import ImageShape
from chiasm.vision.published.checkpoint import (
    CONFIG,
    Checkpoint,
    load_autoencoder,
    reading_weights,
)
from chiasm.vision.published.part import PublishedPart
from chiasm.vision.published.preprocessing import TO_PLUS_MINUS_ONE
from chiasm.vision.tokenizer import PictureDecoder, PictureEncoder, from_patches, patches

PATCH = 2
"""Side of the square of latents that makes one token."""

IMAGE_PIXELS = 256
"""Default side of the images: 16 x 16 tokens at 8 pixels for each latent."""


class Vae(PublishedPart, PictureEncoder, PictureDecoder, kind="AutoencoderKL"):
    """Maps images to the scaled and shifted mode of the posterior, 2 x 2 a token, and back."""

    preprocessing = str(TO_PLUS_MINUS_ONE)
    can_vary = True  # convolutions, and attention without places

    def __init__(self, vae: Any, image_pixels: int, checkpoint: Checkpoint) -> None:
        """``vae`` is an ``AutoencoderKL`` in float32."""
        config, used = vae.config, {"image_pixels": image_pixels}
        grid = image_pixels // token_pixels(config)
        shape = ImageShape(image_pixels, image_pixels, grid, grid)
        super().__init__(vae, checkpoint, used, shape, config["latent_channels"] * PATCH**2)
        self.scaling, self.shift = config["scaling_factor"], config["shift_factor"] or 0.0
        # Some must not run in lower precision.
        self.cuda_dtype = torch.float32 if config["force_upcast"] else torch.bfloat16

    def label(self, name: str) -> str:
        """Returns a name of the latents, with the weights that they depend on."""
        side = self.image_shape.height_pixels
        return f"AutoencoderKL at {side} pixels, weights {self.weights_sha256[:16]}"

    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns (mode - shift) * scaling: [B, P, C]."""
        pixels = TO_PLUS_MINUS_ONE.normalize(images_B3HW).to(self.network.dtype)
        mode_BDYX = self.network.encode(pixels).latent_dist.mode().float()
        return patches((mode_BDYX - self.shift) * self.scaling, PATCH)

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images: the inverse of :meth:`features`, up to the autoencoder's error."""
        mode_BDYX = from_patches(raw_BPC, self.grid, PATCH) / self.scaling + self.shift
        drawn_B3HW = self.network.decode(mode_BDYX.to(self.network.dtype)).sample
        return TO_PLUS_MINUS_ONE.restore(drawn_B3HW.float())

    @classmethod
    def load(cls, checkpoint: Checkpoint, image_pixels: int | None) -> Any:
        """Returns the autoencoder, with its weights; checks that all fits before they are read.

        Raises:
            UserError: it is no AutoencoderKL, the picture size does not fit, or the weights cannot
                be read.
        """
        if checkpoint.kind != "AutoencoderKL":
            raise checkpoint.unfit(
                f"is of class {checkpoint.kind}, and {setting('kind')} = 'vae' wants an "
                "AutoencoderKL",
                f"set {setting('kind')} = 'rae' for a vision model, or name the subfolder that "
                "holds the autoencoder, such as owner/name/vae",
            )
        config = checkpoint.read_json(CONFIG)
        if (config.get("in_channels", 3), config.get("out_channels", 3)) != (3, 3):
            raise checkpoint.unfit("does not read and write pictures of 3 colours")
        side, token = image_pixels or IMAGE_PIXELS, token_pixels(config)
        if side % token:
            raise UserError(
                f"is not a multiple of the {token} pixels of a token of {checkpoint.name}",
                setting="image_pixels",
                value=side,
                remedy="choose one",
            )
        from diffusers import AutoencoderKL  # slow to import

        with reading_weights(checkpoint):
            vae = load_autoencoder(AutoencoderKL, checkpoint)
        return cls(vae, side, checkpoint)


def token_pixels(config: Mapping[str, Any]) -> int:
    """Returns the side in pixels of a token's square: every block but the last halves it."""
    blocks = config.get("block_out_channels", (64,))  # diffusers' default
    return PATCH * 2 ** (len(blocks) - 1)
