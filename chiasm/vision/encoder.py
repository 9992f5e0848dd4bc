"""The encoder of a small representation autoencoder: pictures to features of their cells.

Shape suffixes: B pictures, H and W height and width in pixels, Y and X rows and columns of the
latent grid, P = Y * X latent tokens of one picture, C latent channels, D width.

The encoder reads each picture twice: a convolutional pyramid (what is where) and one linear map of
each cell's pixels (layout and colour, nearly for free). Attention over the cells joins them. The
last norm has no affine part, so no channel can be scaled away before it is standardised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from chiasm.rgb import ImageShape
from chiasm.roles import Role
from chiasm.settings import Settings
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.tokenizer import PictureEncoder, patches

CELL_PIXELS = 16
"""Side of the square of pixels that one latent token stands for."""


class EncoderSettings(Settings):
    """Shape of the encoder."""

    image_pixels: int = Field(default=64, ge=16, multiple_of=CELL_PIXELS)
    """Side of the square pictures; each 16 x 16 pixels become one latent token."""
    channels: int = Field(default=64, ge=8, multiple_of=8)
    """C: channels of a latent token."""
    widths: tuple[int, int, int] = (48, 80, 160)
    """Channels of the pyramid at 1/4, 1/8 and 1/16 of the picture; the last is the attention's."""
    blocks: int = Field(default=1, ge=0)
    """Attention blocks over the cells."""
    layer: int | None = Field(default=None, ge=0)
    """Latents are the output of so many blocks; of all, mapped to the channels, if unset. What the
    encoder is trained for is asked of its last features in any case."""

    @model_validator(mode="after")
    def _layer_is_there(self) -> EncoderSettings:
        if self.layer is None:
            return self
        if self.layer > self.blocks:
            raise ValueError(
                f"layer = {self.layer} of an encoder of blocks = {self.blocks}; choose 0 (before "
                f"the first block) to {self.blocks}, or more blocks"
            )
        if self.channels != self.widths[2]:
            raise ValueError(
                f"layer = {self.layer} gives latents of the blocks' width, widths[2] = "
                f"{self.widths[2]}, but channels = {self.channels}; make them equal"
            )
        return self

    @property
    def shape(self) -> ImageShape:
        """The pictures and their grid."""
        side = self.image_pixels // CELL_PIXELS
        return ImageShape(self.image_pixels, self.image_pixels, side, side)


class Residual(nn.Module):
    """x + conv(activation(norm(x))) at one resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BDYX: Tensor) -> Tensor:
        """Shape is kept."""
        return x_BDYX + self.convolution(functional.gelu(self.norm(x_BDYX)))


class RaeEncoder(PictureEncoder, kind="rae"):
    """Pictures [B, 3, H, W] in [0, 1] to features [B, P, C] that are normed without affine."""

    roles: ClassVar = {"place_PD": Role.TABLE}

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings.shape, settings.channels)
        self.settings = settings
        narrow, middle, wide = settings.widths
        self.pyramid = nn.Sequential(
            nn.Conv2d(3, narrow, 4, stride=4),
            nn.GELU(),
            nn.Conv2d(narrow, middle, 3, stride=2, padding=1),
            Residual(middle),
            nn.GroupNorm(1, middle),
            nn.GELU(),
            nn.Conv2d(middle, wide, 3, stride=2, padding=1),
        )
        self.patches = nn.Linear(3 * CELL_PIXELS**2, wide)
        self.place_PD = nn.Parameter(torch.randn(settings.shape.num_tokens, wide) * 0.02)
        self.blocks = nn.ModuleList(AttentionBlock(wide) for _ in range(settings.blocks))
        self.to_channels = nn.Linear(wide, settings.channels)
        self.last_norm = nn.LayerNorm(settings.channels, elementwise_affine=False)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """The last features [B, P, C], row-major over the cells."""
        return self.last_norm(self.to_channels(self._after(len(self.blocks), images_B3HW)))

    def features(self, images_B3HW: Tensor) -> Tensor:
        """The features [B, P, C] of the layer that the settings name."""
        if self.settings.layer is None:
            return self(images_B3HW)
        return self.last_norm(self._after(self.settings.layer, images_B3HW))

    def describe(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings.model_dump(mode="json")

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Self:
        """Returns an encoder of these settings, untrained."""
        with torch.device("meta"):
            return cls(EncoderSettings(**described)).to_empty(device="cpu")

    def _after(self, num_blocks: int, images_B3HW: Tensor) -> Tensor:
        """What the first blocks make of the cells: [B, P, D]."""
        centred = images_B3HW * 4 - 2
        cells_BPD = self.patches(patches(centred, CELL_PIXELS))
        x_BPD = self.pyramid(centred).flatten(2).mT + cells_BPD + self.place_PD
        for block in self.blocks[:num_blocks]:
            x_BPD = block(x_BPD)
        return x_BPD
