"""A decoder that starts as the best linear one and learns the residual with convolutions.

With a frozen encoder (:mod:`chiasm.vision.encoder`) it is a small representation autoencoder: Zheng
et al., "Diffusion Transformers with Representation Autoencoders" (arXiv 2510.11690), at a size that
a laptop trains.

Shape suffixes: B images, H and W height and width in pixels, Y and X rows and columns of the latent
grid, P = Y * X latent tokens of one image, C latent channels, D width.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.errors import UserError, setting
from chiasm.rgb import ImageShape
from chiasm.roles import Role
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.decoder import FeatureDecoder
from chiasm.vision.encoder import Residual
from chiasm.vision.settings import CELL_PIXELS, DecoderSettings


class LinearDecoder(nn.Module):
    """Predicts each cell's pixels as a linear function of its 3 x 3 neighbourhood of latents.

    Its best weights have a closed form (:mod:`chiasm.vision.learning.ridge`), from which training
    starts.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 3 * CELL_PIXELS**2, 3, padding=1)

    def forward(self, x_BCYX: Tensor) -> Tensor:
        """Returns images [B, 3, H, W] around 0, of latents on their grid."""
        return functional.pixel_shuffle(self.convolution(x_BCYX), CELL_PIXELS)


class ConvolutionalDecoder(FeatureDecoder):
    """Maps standardized features [B, P, C] to images: linear decoder plus learned residual."""

    roles: ClassVar = {"place_PD": Role.TABLE}

    def __init__(
        self,
        settings: DecoderSettings,
        shape: ImageShape,
        statistics: LatentStatistics,
        *,
        widths: tuple[int, int, int],
        blocks: int,
    ) -> None:
        super().__init__(settings, shape, statistics)
        cell = (shape.height_pixels // shape.rows, shape.width_pixels // shape.columns)
        if cell != (CELL_PIXELS, CELL_PIXELS):
            raise UserError(
                f"draws {CELL_PIXELS} x {CELL_PIXELS} pixels of each latent token, but here a "
                f"token stands for {cell[0]} x {cell[1]}",
                setting="kind",
                value=settings.kind,
                remedy=f'set {setting("kind")} = "vit"',
            )
        wide, middle, narrow = widths
        self.linear = LinearDecoder(statistics.channels)
        self.enter = nn.Linear(statistics.channels, wide)
        # In place: on the meta device a product out of place imports torch._dynamo, a second.
        self.place_PD = nn.Parameter(torch.randn(shape.num_tokens, wide).mul_(0.02))
        self.blocks = nn.ModuleList(AttentionBlock(wide) for _ in range(blocks))
        self.rise = nn.Sequential(
            nn.Conv2d(wide, 4 * middle, 1),
            nn.PixelShuffle(2),
            Residual(middle),
            nn.Conv2d(middle, 4 * narrow, 1),
            nn.PixelShuffle(2),
            Residual(narrow),
            nn.GroupNorm(1, narrow),
            nn.GELU(),
            nn.Conv2d(narrow, 3 * 16, 3, padding=1),
            nn.PixelShuffle(4),
        )
        for parameter in self.rise[-2].parameters():
            nn.init.zeros_(parameter)  # the residual starts at nothing: the linear decoder alone

    @property
    def last_weight(self) -> Tensor:
        """Weight of the last layer of the residual, which every pixel passes."""
        return self.rise[-2].get_parameter("weight")

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Returns images [B, 3, H, W], not clamped."""
        x_BPD = self.enter(x_BPC) + self.place_PD
        for block in self.blocks:
            x_BPD = block(x_BPD)
        residual = self.rise(x_BPD.mT.unflatten(2, self.grid))
        return self.linear(x_BPC.mT.unflatten(2, self.grid)) + residual
