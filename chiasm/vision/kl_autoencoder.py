"""A small variational autoencoder, trained here: convolutions, a diagonal Gaussian between them.

Kingma and Welling, "Auto-Encoding Variational Bayes" (arXiv 1312.6114), in the shape that latent
diffusion uses (Rombach et al., arXiv 2112.10752): residual blocks at falling resolution, attention
at the lowest. The first halving is the entry's stride and the last doubling a pixel shuffle, so
that no wide layer runs at the image's full size. A token is 2 x 2 latents, as for published VAEs.

Shape suffixes: B images, H and W height and width in pixels, Z channels of a latent, Y and X rows
and columns of the latents, D width, P tokens of one image, C = 4 Z channels of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.vision.attention import AttentionBlock
from chiasm.vision.settings import PATCH, AutoencoderSettings
from chiasm.vision.tokenizer import PictureDecoder, PictureEncoder, from_patches, patches

FIRST_LOG_VARIANCE = -4.0
"""Log-variance of an untrained encoder's samples."""


class ResidualBlock(nn.Module):
    """x + two convolutions, each after norm and activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
            *(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
        )

    def forward(self, x_BDYX: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        return x_BDYX + self.layers(x_BDYX)


class CellAttention(nn.Module):
    """Attention over all positions of an image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = AttentionBlock(width, head_width=width)

    def forward(self, x_BDYX: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        return self.block(x_BDYX.flatten(2).mT).mT.unflatten(2, x_BDYX.shape[2:])


class Autoencoder(PictureEncoder, PictureDecoder, kind="vae"):
    """Maps images to the mean and log-variance of a Gaussian, and its samples to images.

    As a tokenizer its latents are means, 2 x 2 of them a token.
    """

    can_vary = True  # convolutions, and attention without places

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__(settings.shape, PATCH**2 * settings.channels)
        self.settings = settings
        widths, channels = settings.widths, settings.channels
        down: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(channels, widths[-1], 3, padding=1)]
        for wide, wider in pairwise(widths):
            down += [ResidualBlock(wide), nn.Conv2d(wide, wider, 3, stride=2, padding=1)]
        down += [ResidualBlock(widths[-1]), CellAttention(widths[-1])]
        up += [CellAttention(widths[-1]), ResidualBlock(widths[-1])]
        for wide, wider in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True):
            up += [nn.Upsample(scale_factor=2.0), nn.Conv2d(wider, wide, 3, padding=1)]
            up += [ResidualBlock(wide)]
        self.down = nn.Sequential(*down, nn.GroupNorm(8, widths[-1]), nn.SiLU())
        self.to_moments = nn.Conv2d(widths[-1], 2 * channels, 3, padding=1)
        # Samples begin near their means: under full noise the decoder learns to draw grey first.
        nn.init.constant_(self.to_moments.get_parameter("bias")[channels:], FIRST_LOG_VARIANCE)
        self.up = nn.Sequential(*up, nn.GroupNorm(8, widths[0]), nn.SiLU())
        self.to_pixels = nn.Conv2d(widths[0], 3 * PATCH**2, 3, padding=1)
        # Training starts around grey.
        nn.init.constant_(self.to_pixels.get_parameter("bias"), 0.5)

    @property
    def last_weight(self) -> Tensor:
        """Weight of the last layer, which every pixel passes."""
        return self.to_pixels.weight

    def moments(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log-variance, both [B, Z, Y, X], of images in [0, 1]."""
        mean, log_variance = self.to_moments(self.down(images_B3HW * 2 - 1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def pictures(self, z_BZYX: Tensor) -> Tensor:
        """Returns images [B, 3, H, W], not clamped."""
        return functional.pixel_shuffle(self.to_pixels(self.up(z_BZYX)), PATCH)

    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns means [B, P, C]."""
        return patches(self.moments(images_B3HW)[0], PATCH)

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images from means."""
        return self.pictures(from_patches(raw_BPC, self.grid, PATCH))

    def describe(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings.model_dump(mode="json")

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Self:
        """Returns an autoencoder of these settings, untrained."""
        with torch.device("meta"):
            return cls(AutoencoderSettings(**described)).to_empty(device="cpu")


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns KL(N(mean, variance) || N(0, 1)) in nats by element (arXiv 1312.6114, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
