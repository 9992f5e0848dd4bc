"""Noise on features, and loss terms that keep features worth modelling, for all encoder objectives.

Shape suffixes: B images, H and W height and width in pixels, P cells, C channels, J pixel values of
a cell, N cells of all images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.vision.learning.draw import Draw
from chiasm.vision.settings import CELL_PIXELS
from chiasm.vision.tokenizer import patches


def add_noise(features_BPC: Tensor, scale: float, draw: Draw) -> Tensor:
    """Returns features with noise of each image's own deviation |normal(0, scale)|, as in RAE."""
    deviation = draw.noise(1, 1).abs() * scale
    noise = deviation * draw.noise(*features_BPC.shape[1:])
    return features_BPC + noise.to(features_BPC.device)


def redundancy(features_BPC: Tensor) -> Tensor:
    """Returns the sum over channel pairs of the squared correlation, per channel."""
    flat = features_BPC.flatten(0, 1)
    centred = flat - flat.mean(dim=0)
    scaled = centred / (centred.square().mean(dim=0) + 1e-4).sqrt()
    correlation_CC = scaled.T @ scaled / len(flat)
    off_diagonal = correlation_CC - torch.diag_embed(correlation_CC.diagonal())
    return off_diagonal.square().sum() / flat.shape[1]


def deviation_between_pictures(features_BPC: Tensor) -> Tensor:
    """Returns each cell feature's deviation between the images of a batch: float [P, C].

    Features that encode their position alone have none, however much they differ between cells.
    """
    return (features_BPC.var(dim=0, unbiased=False) + 1e-6).sqrt()


class PixelRegression(nn.Module):
    """Linear regression of each cell's pixels from its features, as a share of their variance."""

    def __init__(self, channels: int, pixel_variance: float) -> None:
        super().__init__()
        self.to_pixels = nn.Linear(channels, 3 * CELL_PIXELS**2)
        self.pixel_variance = pixel_variance

    def forward(self, features_BPC: Tensor, images_B3HW: Tensor) -> Tensor:
        """Returns the mean squared error over the pixels' variance; 1 for a grey guess."""
        drawn_NJ = self.to_pixels(features_BPC.flatten(0, 1))
        true_NJ = patches(images_B3HW, CELL_PIXELS).flatten(0, 1)
        return functional.mse_loss(drawn_NJ, true_NJ) / self.pixel_variance
