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
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from chiasm.data.pictures import ImageShape
from chiasm.errors import UserError
from chiasm.vision.published.checkpoint import (
    CONFIG,
    Checkpoint,
    find_checkpoint,
    hash_weights,
    unreadable_weights,
)
from chiasm.vision.published.preprocessing import TO_PLUS_MINUS_ONE
from chiasm.vision.published.tokenizer import Published, PublishedTokenizer

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


class VaeTokenizer(PublishedTokenizer):
    """Pictures to the scaled and shifted mode of the posterior, 2 x 2 of it a token, and back."""

    def __init__(self, published: Published, vae: Any, shape: VaeShape) -> None:
        """``vae`` is an ``AutoencoderKL`` in float32."""
        self.weights_sha256 = hash_weights(vae)
        super().__init__(
            published,
            shape.image_shape,
            shape.channels,
            f"AutoencoderKL at {shape.image_pixels} pixels, weights {self.weights_sha256[:16]}",
            str(TO_PLUS_MINUS_ONE),
            torch.float32 if shape.float32 else torch.bfloat16,
        )
        self.vae = vae
        self.shape = shape
        self.requires_grad_(False)
        self.eval()

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """(mode - shift) * scaling, [B, P, C]."""
        pixels = TO_PLUS_MINUS_ONE.normalise(images_B3HW).to(self.vae.dtype)
        mode_BDYX = self.vae.encode(pixels).latent_dist.mode().float()
        scaled_BDYX = (mode_BDYX - self.shape.shift) * self.shape.scaling
        return functional.pixel_unshuffle(scaled_BDYX, PATCH).flatten(2).mT

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """The inverse of :meth:`encode_raw`, as far as the autoencoder is one."""
        grid = (self.shape.grid, self.shape.grid)
        scaled_BDYX = functional.pixel_shuffle(raw_BPC.mT.unflatten(2, grid), PATCH)
        mode_BDYX = scaled_BDYX / self.shape.scaling + self.shape.shift
        return TO_PLUS_MINUS_ONE.restore(
            self.vae.decode(mode_BDYX.to(self.vae.dtype)).sample.float()
        )


def describe_vae(published: Published) -> tuple[Checkpoint, VaeShape]:
    """Where the autoencoder is and what its configuration says.

    Raises:
        UserError: there is none, it is no AutoencoderKL, or the picture size does not fit.
    """
    checkpoint = find_checkpoint(published.path, "streams.image.path", published.revision)
    content = checkpoint.read_json(CONFIG)
    kind = content.get("_class_name", content.get("model_type"))
    if kind != "AutoencoderKL":
        raise UserError(
            f"{checkpoint.where} is of class {kind}, and streams.image.kind = 'vae' wants an "
            "AutoencoderKL; set streams.image.kind = 'rae' for a vision model, or name the subfolder that "
            "holds the autoencoder, such as owner/name/vae"
        )
    from diffusers import AutoencoderKL  # slow to import

    config = {**_defaults(AutoencoderKL), **content}
    if (config["in_channels"], config["out_channels"]) != (3, 3):
        raise UserError(f"{checkpoint.where} does not read and write pictures of 3 colours")
    token_pixels = PATCH * 2 ** (len(config["block_out_channels"]) - 1)
    side = published.image_pixels or IMAGE_PIXELS
    if side % token_pixels:
        raise UserError(
            f"streams.image.image_pixels = {side} is not a multiple of the {token_pixels} pixels of a "
            f"token of {checkpoint.name}; choose one"
        )
    return checkpoint, VaeShape(
        side,
        side // token_pixels,
        config["latent_channels"] * PATCH**2,
        config["scaling_factor"],
        config["shift_factor"] or 0.0,
        config["force_upcast"],
    )


def open_vae(published: Published) -> VaeTokenizer:
    """The tokenizer, with its weights.

    Raises:
        UserError: as :func:`describe_vae`, or the weights cannot be read.
    """
    checkpoint, shape = describe_vae(published)
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
    found = published.model_copy(update={"path": checkpoint.name, "revision": checkpoint.revision})
    return VaeTokenizer(found, vae, shape)


def _defaults(kind: Any) -> dict[str, Any]:
    """Defaults of a diffusers model's configuration, which its files may leave out."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
