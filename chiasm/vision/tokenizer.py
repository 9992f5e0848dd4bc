"""Base classes of encoders and decoders of images.

Shape suffixes: B or N images, H and W their height and width in pixels, P latent tokens of one
image, L latent tokens of all images (flattened), C latent channels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.rgb import Given, ImageShape, fitted, held
from chiasm.tokenizers.parts import Decoder, Encoder

Built = TypeVar("Built")


class PictureEncoder(Encoder):
    """Maps images [B, 3, H, W] to latents; a subclass defines :meth:`features`."""

    modality = "vision"
    preprocessing = "RGB in [0, 1]"

    def __init__(self, image_shape: ImageShape, channels: int) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.grid = (image_shape.rows, image_shape.columns)
        self.channels = channels

    @abstractmethod
    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns latents [B, P, C] of images in [0, 1], with gradients to the images."""

    def read(self, data: Given) -> Tensor:
        """Returns an image, uint8 [3, H, W], cropped to the centre and resized.

        Raises:
            UserError: it cannot be decoded.
        """
        shape = self.image_shape
        pixels = fitted(held(data), shape.height_pixels, shape.width_pixels)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def encode(self, items_B: Tensor) -> Tensor:
        """Returns latents [B, P, C] of images, uint8 or float in [0, 1].

        Raises:
            UserError: they are not of this encoder's size, or of that range.
        """
        given = tuple(items_B.shape[1:])
        expected = (3, self.image_shape.height_pixels, self.image_shape.width_pixels)
        if given != expected:
            raise UserError(
                f"the tokenizer takes pictures of shape {expected}, not {given}; set the source's "
                f"picture size to {expected[1]}x{expected[2]} pixels or choose another tokenizer"
            )
        if items_B.is_floating_point():
            # Interpolation may leave the range by a rounding error.
            within = (items_B >= -1e-3) & (items_B <= 1 + 1e-3)
            if not bool(within.all()):
                raise UserError(
                    f"pictures have values from {float(items_B.min()):g} to "
                    f"{float(items_B.max()):g}; give uint8, or floats in [0, 1]"
                )
        return self.features(as_floats(items_B))

    @property
    def form(self) -> str:
        """Size of images and grid."""
        return str(self.image_shape)


class PictureDecoder(Decoder):
    """Maps latents to images [B, 3, H, W] in [0, 1]; a subclass defines :meth:`draw`."""

    @abstractmethod
    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images [B, 3, H, W], not yet clamped."""

    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns images [B, 3, H, W] in [0, 1]."""
        return self.draw(raw_BPC).clamp(0, 1)

    def span(self, item: Tensor, stream: str) -> Image:
        """Returns an image [3, H, W] as a context span of a stream, uint8."""
        pixels_3HW = item.mul(255).round().to(torch.uint8)
        pixels = pixels_3HW.permute(1, 2, 0).contiguous().cpu().numpy()
        return Image(pixels, target=False, stream=stream)


def patches(x_BDYX: Tensor, side: int) -> Tensor:
    """Returns squares of ``side`` x ``side`` places as tokens [B, P, C], row-major, D outermost."""
    # One copy whose inner runs are contiguous; pixel_unshuffle makes two that are not.
    x_BDRYCX = x_BDYX.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    return x_BDRYCX.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def from_patches(x_BPC: Tensor, grid: tuple[int, ...], side: int) -> Tensor:
    """Returns the inverse of :func:`patches`, for tokens on a grid of rows and columns."""
    return functional.pixel_shuffle(x_BPC.mT.unflatten(2, grid), side)


def as_floats(images: Tensor) -> Tensor:
    """Returns uint8 images as float32 in [0, 1]; floats pass unchanged."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def seeded(seed: int, build: Callable[..., Built], *given: Any) -> Built:
    """Returns ``build(*given)`` with random numbers of this seed; no others are drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*given)
