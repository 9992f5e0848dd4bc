"""Training of a decoder of frozen latents, or of a variational autoencoder.

Shape suffixes: B images of a step on this rank, N samples, H and W height and width in pixels, P
cells, C channels, F features and J pixel values of a cell, Z channels of an autoencoder's latent, Y
and X its rows and columns.

The loss is L1 on pixels; where there is a frozen encoder, the squared distance between its latents
of the drawn and of the true image (a perceptual loss in place of LPIPS); and, if asked for, a
discriminator's. Latents are noised (RAE, arXiv 2510.11690, section 4), so that the decoder is
robust to a generator's errors.

The convolutional decoder starts from the best linear one, solved in closed form, and learns the
residual; the ViT starts from grey.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.ranks import ALONE, Ranks
from chiasm.vision.convolutional import LinearDecoder
from chiasm.vision.decoder import FeatureDecoder
from chiasm.vision.kl_autoencoder import Autoencoder, kl_divergence
from chiasm.vision.learning.adversary import Adversary
from chiasm.vision.learning.draw import Draw
from chiasm.vision.learning.features import add_noise
from chiasm.vision.learning.fit import Losses, Stage
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.ridge import RidgeRegression, neighbourhoods
from chiasm.vision.learning.settings import ReconstructionSettings
from chiasm.vision.settings import CELL_PIXELS
from chiasm.vision.tokenizer import patches

PICTURES_AT_ONCE = 256
"""Number of images encoded together where no gradient is needed."""

NUM_SAMPLES = 8
"""Number of held-out images that samples are drawn of."""

Encode = Callable[[Tensor], Tensor]
"""Images [B, 3, H, W] in [0, 1] to standardized latents [B, P, C], with gradients."""


class DrawingStage(Stage):
    """A model that draws images, in training, with its losses and held-out samples.

    Args:
        model: the decoder or autoencoder.
        encode: frozen encoder whose latents the images are compared in; None: they are compared by
            their pixels alone.
    """

    opponent: Adversary | None

    def __init__(
        self,
        model: FeatureDecoder | Autoencoder,
        encode: Encode | None,
        settings: ReconstructionSettings,
        pictures: Pictures,
        held_out: Pictures,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.pictures = pictures
        self.encode = encode
        if settings.adversarial.weight > 0:
            self.opponent = Adversary(settings.adversarial)
        self.sample_steps = settings.sample_steps
        self.held_out = held_out.spread(NUM_SAMPLES)

    def picture_loss(
        self, drawn_B3HW: Tensor, true_B3HW: Tensor, draw: Draw, true_BPC: Tensor | None = None
    ) -> Losses:
        """Returns the weighted terms of a step.

        ``true_BPC`` are the true images' latents where they are known already.
        """
        terms = {"l1": functional.l1_loss(drawn_B3HW, true_B3HW)}
        if self.encode is not None and self.settings.feature_weight > 0:
            if true_BPC is None:
                with torch.no_grad():
                    true_BPC = self.encode(true_B3HW)
            distance = functional.mse_loss(self.encode(drawn_B3HW), true_BPC)
            terms["features"] = self.settings.feature_weight * distance
        if self.opponent is None:
            return Losses(terms)
        reconstruction = torch.stack(list(terms.values())).sum()
        judged = self.opponent.losses(
            drawn_B3HW,
            true_B3HW,
            reconstruction,
            self.model.last_weight,
            draw.step,
            draw.ranks,
        )
        return Losses(terms | judged.terms, judged.measures)

    def draw_again(self, images_B3HW: Tensor) -> Tensor:
        """Returns reconstructions of images, without noise."""
        raise NotImplementedError

    @torch.no_grad()
    def samples(self) -> tuple[Tensor, Tensor]:
        """Returns some held-out images, and their reconstructions."""
        true_N3HW = next(self.held_out.batches(NUM_SAMPLES, self.device))
        return true_N3HW, self.draw_again(true_N3HW)


class DecoderStage(DrawingStage):
    """A decoder of frozen latents in training."""

    model: FeatureDecoder
    encode: Encode

    def losses(self, draw: Draw) -> Losses:
        """Returns the terms of one step."""
        images_B3HW = self.pictures.batch(draw.numbers[draw.own], self.device)
        with torch.no_grad():
            latents_BPC = self.encode(images_B3HW)
        drawn_B3HW = self.model(add_noise(latents_BPC, self.settings.noise, draw))
        return self.picture_loss(drawn_B3HW, images_B3HW, draw, latents_BPC)

    def draw_again(self, images_B3HW: Tensor) -> Tensor:
        """Returns images from clean latents."""
        return self.model(self.encode(images_B3HW))


class VariationalStage(DrawingStage):
    """A variational autoencoder in training: it draws from samples of the posterior."""

    model: Autoencoder

    def losses(self, draw: Draw) -> Losses:
        """Returns the terms of one step.

        The divergence is summed over a picture's latents and divided by its pixel values, since the
        L1 term is a mean over these: their ratio is that of the sums, as in latent diffusion.
        """
        images_B3HW = self.pictures.batch(draw.numbers[draw.own], self.device)
        mean_BZYX, log_variance_BZYX = self.model.moments(images_B3HW)
        noise_BZYX = draw.noise(*mean_BZYX.shape[1:]).to(self.device)
        sample_BZYX = mean_BZYX + (log_variance_BZYX / 2).exp() * noise_BZYX
        drawn_B3HW = self.model.pictures(sample_BZYX)
        drawing = self.picture_loss(drawn_B3HW, images_B3HW, draw)
        nats = kl_divergence(mean_BZYX, log_variance_BZYX).sum() / len(images_B3HW)
        kl = self.settings.kl_weight * nats / images_B3HW[0].numel()
        return Losses(drawing.terms | {"kl": kl}, drawing.measures | {"nats": nats})

    def draw_again(self, images_B3HW: Tensor) -> Tensor:
        """Returns images from the means."""
        return self.model.pictures(self.model.moments(images_B3HW)[0])


@torch.no_grad()
def solve_linear_decoder(
    linear: LinearDecoder,
    encode: Encode,
    pictures: Pictures,
    noise: float,
    ranks: Ranks = ALONE,
) -> None:
    """Sets the linear decoder to the best one for latents with noise of this deviation.

    All of ``ranks`` call it, and each encodes its share.

    Least squares on inputs with independent noise of variance s^2 is, in expectation, ridge
    regression with the penalty s^2 per row (Bishop 1995, "Training with noise is equivalent to
    Tikhonov regularization"): no noise needs to be drawn.
    """
    weight = linear.convolution.weight
    channels = weight.shape[1]
    side = pictures.pixels_MHW3.shape[1] // CELL_PIXELS
    # A 3 x 3 convolution is linear in its neighbourhood and a constant, for the bias.
    ridge = RidgeRegression(9 * channels + 1, 3 * CELL_PIXELS**2)
    for images_B3HW in pictures.batches(PICTURES_AT_ONCE, weight.device, ranks):
        grid_BCYX = encode(images_B3HW).mT.unflatten(2, (side, side))
        true_NJ = patches(images_B3HW, CELL_PIXELS).flatten(0, 1)
        ridge.update(neighbourhoods(grid_BCYX).cpu(), true_NJ.cpu())
    weights_FJ = ridge.over(ranks).solve(noise**2)
    weight.copy_(weights_FJ[:-1].T.unflatten(1, (channels, 3, 3)))
    linear.convolution.get_parameter("bias").copy_(weights_FJ[-1])
