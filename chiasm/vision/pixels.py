"""Pixels as latents: each square patch becomes one token, with nothing learned.

Shape suffixes: B pictures, H and W their height and width in pixels, P latent tokens of one
picture, C latent channels (3 colours times the pixels of a patch).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from chiasm.data.pictures import ImageShape
from chiasm.vision.statistics import LatentStatistics
from chiasm.vision.tokenizer import VisionTokenizer


class PixelTokenizer(VisionTokenizer):
    """Patches of ``patch_pixels`` x ``patch_pixels``; exact in both directions.

    Until :meth:`measure` has seen the pictures of a run, the statistics are those of a neutral
    picture: mean 0.5 and deviation 0.25 in every channel.
    """

    name = "pixels"

    def __init__(
        self,
        image_pixels: int,
        patch_pixels: int,
        statistics: LatentStatistics | None = None,
    ) -> None:
        """``patch_pixels`` must divide ``image_pixels`` (VisionSettings checks it)."""
        grid = image_pixels // patch_pixels
        self.patch_pixels = patch_pixels
        super().__init__(
            ImageShape(image_pixels, image_pixels, grid, grid),
            statistics
            or LatentStatistics.neutral(
                3 * patch_pixels**2, 0.5, 0.25, self.name, self.preprocessing
            ),
        )

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """Pictures to patches [B, P, C], colours outermost inside a patch."""
        return functional.pixel_unshuffle(images_B3HW, self.patch_pixels).flatten(2).mT

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """Patches to pictures: the exact inverse of :meth:`encode_raw`."""
        grid = (self.image_shape.rows, self.image_shape.columns)
        return functional.pixel_shuffle(raw_BPC.mT.unflatten(2, grid), self.patch_pixels)
