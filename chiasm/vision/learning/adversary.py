"""A discriminator of drawn and true images, and the adversarial loss of a decoder.

As in VQGAN (Esser et al., arXiv 2012.09841): a discriminator of patches (Isola et al., arXiv
1611.07004), the hinge loss, and a weight that makes the gradient of this term at the decoder's last
layer as long as that of the reconstruction. It starts late, as in RAE (arXiv 2510.11690): on early,
blurred images it would only teach that blur is false. RAE's discriminator uses features of a frozen
DINO; this one uses pixels and needs no published weights.

Shape suffixes: B images of a step on this rank, H and W height and width in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from chiasm.ranks import ALONE, Ranks
from chiasm.vision.learning.fit import Losses
from chiasm.vision.learning.settings import AdversarialSettings

LEAD_STEPS = 100
"""Before the decoder hears of it, in which the discriminator learns: at first it knows nothing."""
LARGEST_WEIGHT = 1e4
"""Upper bound of the adaptive weight, for a vanishing adversarial gradient."""


class PatchDiscriminator(nn.Module):
    """Maps images to one number per patch: positive for what looks true."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for wide in (width, 2 * width):
            layers += [
                nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1),
                nn.GroupNorm(8, 2 * wide),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Returns logits [B, 1, H / 8, W / 8] of images in [0, 1]."""
        return self.layers(images_B3HW * 2 - 1)


class Adversary(nn.Module):
    """The discriminator with both sides' losses."""

    def __init__(self, settings: AdversarialSettings) -> None:
        super().__init__()
        self.settings = settings
        self.discriminator = PatchDiscriminator(settings.width)

    def losses(
        self,
        drawn_B3HW: Tensor,
        true_B3HW: Tensor,
        reconstruction: Tensor,
        last_weight: Tensor,
        step: int,
        ranks: Ranks = ALONE,
    ) -> Losses:
        """Returns the terms of a step.

        Args:
            reconstruction: the sum of the decoder's other terms.
            last_weight: the decoder's last layer, where the norms of gradients are compared.
            step: steps done before this one.
            ranks: the ranks that take the step together.
        """
        settings = self.settings
        if step < settings.start_step - LEAD_STEPS:
            return Losses({})
        true, drawn = self.discriminator(true_B3HW), self.discriminator(drawn_B3HW.detach())
        terms = {"discriminator": hinge(true, drawn)}
        if step < settings.start_step:
            return Losses(terms)
        # The decoder's term must not move the discriminator: it sees its weights as constants.
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fooled = -functional_call(self.discriminator, fixed, (drawn_B3HW,)).mean()
        weight = settings.weight * adaptive_weight(reconstruction, fooled, last_weight, ranks)
        terms["adversarial"] = weight * fooled
        return Losses(terms, {"adversarial_weight": weight})


def hinge(true: Tensor, drawn: Tensor) -> Tensor:
    """Returns the discriminator's hinge loss: true patches above 1, drawn ones below -1."""
    return (functional.relu(1 - true).mean() + functional.relu(1 + drawn).mean()) / 2


def adaptive_weight(
    reconstruction: Tensor, adversarial: Tensor, last_weight: Tensor, ranks: Ranks = ALONE
) -> Tensor:
    """Returns the ratio of the two gradients' norms at the last layer, detached.

    |d reconstruction / d W| / (|d adversarial / d W| + 1e-4), equation 7 of arXiv 2012.09841, of
    the means of the losses over the ranks.
    """
    gradients = [
        torch.autograd.grad(loss, last_weight, retain_graph=True)[0]
        for loss in (reconstruction, adversarial)
    ]
    lengths = [total.norm() / ranks.size for total in ranks.all_sum(*gradients)]
    return (lengths[0] / (lengths[1] + 1e-4)).clamp(max=LARGEST_WEIGHT).detach()
