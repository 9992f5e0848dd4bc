"""Pixels as latents: each square patch becomes one token, with nothing learned.

Shape suffixes: B images, H and W their height and width in pixels, P latent tokens of one image, C
latent channels (3 colours times the pixels of a patch).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.rgb import ImageShape
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.tokenizer import PictureDecoder, PictureEncoder, from_patches, patches


class Pixels(PictureEncoder, PictureDecoder, kind="pixels"):
    """Patches of ``patch_pixels`` x ``patch_pixels``; exact in both directions."""

    can_vary = True

    def __init__(self, image_pixels: int, patch_pixels: int) -> None:
        """``patch_pixels`` must divide ``image_pixels`` (PixelSettings checks it)."""
        side = image_pixels // patch_pixels
        super().__init__(ImageShape(image_pixels, image_pixels, side, side), 3 * patch_pixels**2)
        self.patch_pixels = patch_pixels

    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns patches [B, P, C] of images, colours outermost inside a patch."""
        return patches(images_B3HW, self.patch_pixels)

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images from patches: the exact inverse of :meth:`features`."""
        return from_patches(raw_BPC, self.grid, self.patch_pixels)

    def describe(self) -> dict[str, Any]:
        """Returns the sides of images and patches."""
        return {
            "image_pixels": self.image_shape.height_pixels,
            "patch_pixels": self.patch_pixels,
        }


def pixel_tokenizer(image_pixels: int, patch_pixels: int) -> Tokenizer:
    """Returns a tokenizer of patches.

    Until :meth:`Tokenizer.measure` has seen the images of a run, the statistics are a neutral
    guess: mean 0.5 and deviation 0.25 in every channel.
    """
    pixels = Pixels(image_pixels, patch_pixels)
    guess = LatentStatistics.neutral(pixels.channels, 0.5, 0.25, "pixels", pixels.preprocessing)
    return Tokenizer("pixels", pixels, pixels, guess)
