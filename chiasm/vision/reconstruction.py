"""Stage 2: a decoder of frozen features.

Shape suffixes: B pictures of a step, H and W height and width in pixels, P cells, C channels, F
features and D values of the ridge regression.

The linear decoder is solved in closed form and stays as the start; attention and convolutions then
learn the residual. The loss is L1 on pixels plus the squared distance of the drawn picture's own
latents from the true ones: what is drawn must be seen as what it should show. Latents are noised
(RAE, arXiv 2510.11690, section 4), so that the decoder forgives what a generator gets wrong.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.settings import Settings
from chiasm.vision.contrastive import add_noise, picture_batch
from chiasm.vision.fit import Draw, FitSettings
from chiasm.vision.pictures import Pictures
from chiasm.vision.rae import CELL_PIXELS, Decoder, Encoder, LinearDecoder
from chiasm.vision.ridge import RidgeRegression, cell_pixels, neighbourhoods
from chiasm.vision.statistics import LatentStatistics

PICTURES_AT_ONCE = 256
"""Pictures encoded together where no gradient is needed."""


class ReconstructionSettings(Settings):
    """Stage 2 of a vision tokenizer."""

    fit: FitSettings = FitSettings(steps=2000, pictures_per_step=128)
    """Its optimisation."""
    noise: float = Field(default=0.3, gt=0)
    """Scale of the noise on latents: each picture's deviation is |normal(0, noise)|."""
    feature_weight: float = Field(default=0.1, ge=0)
    """Weight of the latent distance beside the L1 loss."""
    ridge_pictures: int = Field(default=8192, ge=1)
    """Pictures that the closed-form start is solved on."""


class ReconstructionStage(nn.Module):
    """The decoder in training; the encoder is read, never changed."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        statistics: LatentStatistics,
        settings: ReconstructionSettings,
        pictures: Pictures,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.decoder = decoder
        self.statistics = statistics
        self.settings = settings
        self.pictures = pictures

    def losses(self, draw: Draw) -> dict[str, Tensor]:
        """The weighted terms of one step, by name."""
        images_B3HW = picture_batch(self.pictures, draw.numbers)
        with torch.no_grad():
            latents_BPC = self.statistics.standardise(self.encoder(images_B3HW))
        drawn_B3HW = self.decoder(add_noise(latents_BPC, self.settings.noise, draw.generator))
        terms = {"l1": functional.l1_loss(drawn_B3HW, images_B3HW)}
        if self.settings.feature_weight > 0:
            seen_BPC = self.statistics.standardise(self.encoder(drawn_B3HW))
            distance = functional.mse_loss(seen_BPC, latents_BPC)
            terms["features"] = self.settings.feature_weight * distance
        return terms


@torch.no_grad()
def solve_linear_decoder(
    linear: LinearDecoder,
    encoder: Encoder,
    statistics: LatentStatistics,
    pictures: Pictures,
    noise: float,
) -> None:
    """Set the linear decoder to the best one for latents with noise of this deviation.

    Least squares on inputs with independent noise of variance s^2 is, in expectation, ridge
    regression with the penalty s^2 per row (Bishop 1995, "Training with noise is equivalent to
    Tikhonov regularization"): no noise needs to be drawn.
    """
    channels = statistics.channels
    side = pictures.pixels_MHW3.shape[1] // CELL_PIXELS
    ridge = RidgeRegression(9 * channels + 1, 3 * CELL_PIXELS**2)
    for first in range(0, len(pictures), PICTURES_AT_ONCE):
        numbers = np.arange(first, min(first + PICTURES_AT_ONCE, len(pictures)))
        images_B3HW = picture_batch(pictures, numbers)
        latents_BPC = statistics.standardise(encoder(images_B3HW))
        grid_BCYX = latents_BPC.mT.unflatten(2, (side, side))
        ridge.update(neighbourhoods(grid_BCYX), cell_pixels(images_B3HW, CELL_PIXELS))
    weights_FD = ridge.solve(noise**2)
    linear.convolution.weight.copy_(weights_FD[:-1].T.unflatten(1, (channels, 3, 3)))
    assert linear.convolution.bias is not None
    linear.convolution.bias.copy_(weights_FD[-1])
