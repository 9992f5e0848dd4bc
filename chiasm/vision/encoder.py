"""The encoder of a small representation autoencoder: images to features of their cells.

The encoder reads each image twice: a convolutional pyramid (what is where) and one linear map of
each cell's pixels (layout and colour, at almost no cost). Attention over the cells joins them. The
last norm has no affine part, so no channel can be scaled away before it is standardized.

Shape suffixes: B images, H and W height and width in pixels, Y and X rows and columns of the latent
grid, P = Y * X latent tokens of one image, C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.roles import Role
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.layers import joined, with_names_of_now
from chiasm.vision.settings import CELL_PIXELS, EncoderSettings
from chiasm.vision.tokenizer import PictureEncoder, patches


class Residual(nn.Module):
    """x + conv(activation(norm(x))) at one resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BDYX: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        return x_BDYX + self.convolution(functional.gelu(self.norm(x_BDYX)))


class RaeEncoder(PictureEncoder, kind="rae"):
    """Maps images [B, 3, H, W] in [0, 1] to features [B, P, C] that are normed without affine."""

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
        # In place: on the meta device a product out of place imports torch._dynamo, a second.
        self.place_PD = nn.Parameter(torch.randn(settings.shape.num_tokens, wide).mul_(0.02))
        self.blocks = nn.ModuleList(AttentionBlock(wide) for _ in range(settings.blocks))
        self.to_channels = nn.Linear(wide, settings.channels)
        self.last_norm = nn.LayerNorm(settings.channels, elementwise_affine=False)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Returns the last features [B, P, C], row-major over the cells."""
        *_, last_BPD = self._layers(images_B3HW)
        return self.last_norm(self.to_channels(last_BPD))

    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns the features [B, P, C] of the layers in the settings."""
        chosen = self.settings.read_layers
        if chosen is None:
            return self(images_B3HW)
        # Blocks above the highest that is read do not run.
        layers = list(islice(self._layers(images_B3HW), max(chosen) + 1))
        read = [layers[number] for number in chosen]
        return joined(read, self.settings.layer_join, self.last_norm.eps)

    def describe(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings.model_dump(mode="json")

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Self:
        """Returns an encoder of these settings, untrained."""
        with torch.device("meta"):
            return cls(EncoderSettings(**with_names_of_now(described))).to_empty(device="cpu")

    def _layers(self, images_B3HW: Tensor) -> Iterator[Tensor]:
        """Yields what enters the first block and what leaves each one: [B, P, D]."""
        centred = images_B3HW * 4 - 2
        cells_BPD = self.patches(patches(centred, CELL_PIXELS))
        x_BPD = self.pyramid(centred).flatten(2).mT + cells_BPD + self.place_PD
        yield x_BPD
        for block in self.blocks:
            x_BPD = block(x_BPD)
            yield x_BPD
