"""The images that a group of requests draws together.

Each solver step reads only the images' own positions: what comes before them lies in the cache,
and an unfinished image leaves nothing there, because its slots are written again at every step.

Shape suffixes: N images, one for each request of the group; P latent tokens of one image, L of
all; C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.flow import Space, velocity
from chiasm.inference.guidance import guided
from chiasm.inference.history import History, Reading, lay_out
from chiasm.inference.passage import Passage
from chiasm.model import Decoder


class Canvas:
    """Velocities of N images at the end of N histories.

    The unconditional branch is what training makes of a dropped condition: the image sees its own
    ``<boi>`` and itself, at the rotary positions that it has anyway.

    Args:
        decoder: the model.
        prediction: what its latent head predicts.
        history: rows whose last position is ``<boi>``.
        group: the members that draw, as ``history.gather`` gives them.
        image: the passage of one image's latent tokens.
        opened_image: the same behind its ``<boi>``.
        guidance: guidance scale; 1 needs no unconditional branch.
    """

    def __init__(
        self,
        decoder: Decoder,
        prediction: Space,
        history: History,
        group: Sequence[int],
        image: Passage,
        opened_image: Passage,
        guidance: float,
    ) -> None:
        self._decoder, self._prediction, self._guidance = decoder, prediction, guidance
        count, channels = len(group), decoder.latent_channels
        z_LC = torch.zeros(count * len(image), channels, device=decoder.device)
        time_L = z_LC.new_zeros(len(z_LC))
        latents = ImageLatents(z_LC)
        self._conditional = history.lay_out(group, [image] * count, latents, time_L)
        begins = [history.held(member) - 1 for member in group]
        self._unconditional = lay_out([opened_image] * count, latents, time_L, begins, cache=None)

    def velocity(self, z_NPC: Tensor, time: float) -> Tensor:
        """The guided velocity of all images, float32 [N, P, C], at one flow time."""
        conditional_LC = self._predict(self._conditional, z_NPC, time)
        if self._guidance == 1:
            return conditional_LC.view_as(z_NPC)
        unconditional_LC = self._predict(self._unconditional, z_NPC, time)
        return guided(conditional_LC, unconditional_LC, self._guidance).view_as(z_NPC)

    def _predict(self, reading: Reading, z_NPC: Tensor, time: float) -> Tensor:
        z_LC = z_NPC.flatten(0, 1)
        time_L = z_LC.new_full((len(z_LC),), time)
        inputs = replace(reading.inputs, z_LC=z_LC, time_L=time_L)
        x_BTD = self._decoder(inputs, reading.mask, reading.cache)
        x_LD = x_BTD.flatten(0, 1)[inputs.latent_position_L]
        output_LC = self._decoder.latent_output(x_LD).float()
        return velocity(output_LC, z_LC, time_L, self._prediction)
