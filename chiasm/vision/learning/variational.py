"""Training a variational autoencoder: draw what was sampled, and keep the samples' source normal.

Shape suffixes: B pictures, H and W height and width in pixels, Z channels of a latent, Y and X rows
and columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chiasm.vision.kl_autoencoder import Autoencoder, kl_divergence
from chiasm.vision.learning.fit import Draw, Losses
from chiasm.vision.learning.reconstruction import DrawingStage


class VariationalStage(DrawingStage):
    """Encoder and decoder together."""

    model: Autoencoder

    def losses(self, draw: Draw) -> Losses:
        """The terms of one step.

        The divergence is summed over a picture's latents and divided by its pixel values, since the
        L1 term is a mean over these: their ratio is that of the sums, as in latent diffusion.
        """
        images_B3HW = self.pictures.batch(draw.numbers, self.device)
        mean_BZYX, log_variance_BZYX = self.model.moments(images_B3HW)
        noise_BZYX = torch.randn(mean_BZYX.shape, generator=draw.generator).to(self.device)
        sample_BZYX = mean_BZYX + (log_variance_BZYX / 2).exp() * noise_BZYX
        drawn_B3HW = self.model.pictures(sample_BZYX)
        drawing = self.picture_loss(drawn_B3HW, images_B3HW, draw.step)
        nats = kl_divergence(mean_BZYX, log_variance_BZYX).sum() / len(images_B3HW)
        kl = self.settings.kl_weight * nats / images_B3HW[0].numel()
        return Losses(drawing.terms | {"kl": kl}, drawing.measures | {"nats": nats})

    def draw_again(self, images_B3HW: Tensor) -> Tensor:
        """Pictures from the means."""
        return self.model.pictures(self.model.moments(images_B3HW)[0])
