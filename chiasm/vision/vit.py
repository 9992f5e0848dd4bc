"""A ViT decoder of frozen features, as in RAE (Zheng et al., arXiv 2510.11690).

Shape suffixes: B images, P latent tokens of C channels, Q tokens of the decoder (Q = P * s * s, s
splits of a latent token in each direction), D width.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.rgb import ImageShape
from chiasm.roles import Role
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.decoder import FeatureDecoder
from chiasm.vision.settings import DecoderSettings


class ViTDecoder(FeatureDecoder):
    """Maps standardized features [B, P, C] to images [B, 3, H, W]."""

    roles: ClassVar = {"place_QD": Role.TABLE}

    def __init__(
        self,
        settings: DecoderSettings,
        shape: ImageShape,
        statistics: LatentStatistics,
        *,
        width: int,
        depth: int,
        heads: int,
        patch_pixels: int,
    ) -> None:
        super().__init__(settings, shape, statistics)
        cell = shape.height_pixels / shape.rows
        if cell != shape.width_pixels / shape.columns or cell % patch_pixels:
            raise UserError(
                f"does not divide the cell of a latent token, {cell:g} x "
                f"{shape.width_pixels / shape.columns:g} pixels (pictures of "
                f"{shape.height_pixels} x {shape.width_pixels} on a grid of {shape.rows} x "
                f"{shape.columns})",
                setting="patch_pixels",
                value=patch_pixels,
                remedy="choose a divisor of a square cell",
            )
        self.splits = int(cell) // patch_pixels
        self.patch_pixels = patch_pixels
        tokens = shape.num_tokens * self.splits**2
        self.enter = nn.Linear(statistics.channels, width * self.splits**2)
        self.place_QD = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.blocks = nn.ModuleList(
            AttentionBlock(width, head_width=width // heads, expansion=4) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.to_pixels = nn.Linear(width, 3 * patch_pixels**2)
        # Training starts from an almost grey picture.
        nn.init.normal_(self.to_pixels.weight, std=0.002)
        nn.init.constant_(self.to_pixels.bias, 0.5)

    @property
    def last_weight(self) -> Tensor:
        """Weight of the last layer, which every pixel passes."""
        return self.to_pixels.weight

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Returns images [B, 3, H, W], not clamped."""
        entered = self.enter(x_BPC).mT.unflatten(2, self.grid)
        spread = functional.pixel_shuffle(entered, self.splits)
        x_BQD = spread.flatten(2).mT + self.place_QD
        for block in self.blocks:
            x_BQD = block(x_BQD)
        pixels = self.to_pixels(self.norm(x_BQD)).mT.unflatten(2, spread.shape[2:])
        return functional.pixel_shuffle(pixels, self.patch_pixels)
