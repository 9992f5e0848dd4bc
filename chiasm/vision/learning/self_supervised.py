"""Stage 1 without captions: predict the latents of hidden cells from the others.

A joint-embedding predictive architecture (I-JEPA, Assran et al., arXiv 2301.08243): a teacher, the
running mean of the encoder, encodes the whole image; the encoder encodes it with some rectangles of
cells greyed out; a predictor predicts the teacher's features there. Against collapse stand the two
terms of VICReg (Bardes et al., arXiv 2105.04906): features must deviate between pictures, and
channels must not repeat each other; and a linear regression of each cell's pixels keeps layout and
colour.

Why this and not invariance between views (DINO): every hidden cell gives a target, not two vectors
of an image, so that small steps and few cells suffice; nothing is made invariant, and a tokenizer
that is to draw must keep colour, place and left and right, which crops, flips and colour jitter
take away; and what prevents collapse is a term of the loss that the log shows, where DINO balances
centring against temperatures.

Shape suffixes: B images of a step on this rank, S on all ranks, H and W height and width in pixels,
P cells, Y and X rows and columns of cells, C latent channels, D width of the predictor, N hidden
cells of all images.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.roles import Role
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.draw import Draw
from chiasm.vision.learning.features import PixelRegression, deviation_between_pictures, redundancy
from chiasm.vision.learning.fit import Losses, Stage
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.settings import SelfSupervisedSettings
from chiasm.vision.settings import CELL_PIXELS

PREDICTOR_WIDTH, PREDICTOR_BLOCKS = 128, 2
"""Attention blocks of the predictor: small beside the encoder, which is what shall learn."""
HIDDEN_BLOCKS = 3
"""Rectangles of cells that are hidden in each picture; they may overlap."""
REDUNDANCY_WEIGHT = 0.1
"""Of the squared correlation between channels; prediction and pixels weigh 1."""
COLLAPSED = 0.05
"""Mean deviation of features between images below which they are uninformative; 1 is full."""


class Predictor(nn.Module):
    """Predicts the teacher's features in every cell from features of an image with hidden cells."""

    roles: ClassVar = {"place_PD": Role.TABLE, "hidden_D": Role.TABLE}

    def __init__(self, cells: int, channels: int, width: int = PREDICTOR_WIDTH) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, width)
        self.place_PD = nn.Parameter(torch.randn(cells, width) * 0.02)
        self.hidden_D = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in range(PREDICTOR_BLOCKS))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))

    def forward(self, features_BPC: Tensor, hidden_BP: Tensor) -> Tensor:
        """Returns the predicted features [B, P, C]."""
        x_BPD = torch.where(hidden_BP.unsqueeze(-1), self.hidden_D, self.enter(features_BPC))
        x_BPD = x_BPD + self.place_PD
        for block in self.blocks:
            x_BPD = block(x_BPD)
        return self.leave(x_BPD)


class SelfSupervisedStage(Stage):
    """The encoder, its teacher and the predictor; the teacher survives the stage."""

    def __init__(
        self, encoder: RaeEncoder, settings: SelfSupervisedSettings, pictures: Pictures
    ) -> None:
        super().__init__()
        self.settings = settings
        self.pictures = pictures
        self.side = encoder.image_shape.rows
        self.encoder = encoder
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = Predictor(self.side**2, encoder.channels)
        self.pixels = PixelRegression(encoder.channels, pictures.pixel_variance())

    def losses(self, draw: Draw) -> Losses:
        """Returns the terms of one step.

        Raises:
            UserError: the features no longer distinguish one image from another.
        """
        settings = self.settings
        images_B3HW = self.pictures.batch(draw.numbers[draw.own], self.device)
        hidden_SP = hidden_cells(len(draw.numbers), self.side, settings, draw.rng)
        hidden_BP = hidden_SP[draw.own].to(self.device)
        # What a rank's own mean counts for: ranks differ in how many cells they hide.
        share = float(hidden_SP[draw.own].sum() / hidden_SP.sum()) * draw.ranks.size
        with torch.no_grad():
            seen_BPC = self.teacher(images_B3HW)
        around_BPC = self.encoder(grey_out(images_B3HW, hidden_BP, self.side))
        predicted_BPC = self.predictor(around_BPC, hidden_BP)
        features_BPC = self.encoder(images_B3HW)
        features_SPC = draw.gathered(features_BPC)
        deviation_PC = deviation_between_pictures(features_SPC)
        terms = {
            "prediction": share
            * functional.smooth_l1_loss(predicted_BPC[hidden_BP], seen_BPC[hidden_BP]),
            "spread": settings.deviation_weight * functional.relu(1 - deviation_PC).mean(),
            "redundancy": REDUNDANCY_WEIGHT * redundancy(features_SPC),
            "pixels": self.pixels(features_BPC, images_B3HW),
        }
        deviation = deviation_PC.mean().detach()
        if draw.step >= settings.fit.warmup_steps:
            with draw.ranks.together():  # one of them tells
                refuse_collapse(float(deviation), draw.step)
        return Losses(terms, {"deviation": deviation})

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Moves the teacher towards the encoder, ever more slowly."""
        start = self.settings.momentum
        keep = start + (1 - start) * min(1.0, step / self.settings.fit.steps)
        for mean, latest in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            mean.lerp_(latest, 1 - keep)


def refuse_collapse(deviation: float, step: int) -> None:
    """Refuses features that deviate between images by no more than this, in the mean.

    Raises:
        UserError: it is too little.
    """
    if deviation < COLLAPSED:
        raise UserError(
            f"stage encoder of the vision tokenizer: the features have collapsed at step {step}: "
            f"between pictures they deviate by {deviation:.3f} (1 is full, {COLLAPSED} too "
            "little); raise self_supervised.deviation_weight, lower "
            "self_supervised.fit.learning_rate, or give more varied pictures"
        )


def hidden_cells(
    count: int, side: int, settings: SelfSupervisedSettings, rng: np.random.Generator
) -> Tensor:
    """Returns bool [B, P]: True where a cell is hidden; at least one cell is, and one is not."""
    hidden_BYX = np.zeros((count, side, side), dtype=bool)
    for hidden_YX in hidden_BYX:
        for _ in range(HIDDEN_BLOCKS):
            aspect = np.exp(rng.uniform(np.log(0.5), np.log(2.0)))
            height, width = (
                int(np.clip(round(side * (settings.hidden_share * ratio) ** 0.5), 1, side))
                for ratio in (aspect, 1 / aspect)
            )
            top, left = (int(rng.integers(side - size + 1)) for size in (height, width))
            hidden_YX[top : top + height, left : left + width] = True
        if hidden_YX.all():
            hidden_YX[int(rng.integers(side)), int(rng.integers(side))] = False
    return torch.from_numpy(hidden_BYX).flatten(1)


def grey_out(images_B3HW: Tensor, hidden_BP: Tensor, side: int) -> Tensor:
    """Returns images whose hidden cells are grey."""
    hidden_B1YX = hidden_BP.unflatten(1, (side, side)).unsqueeze(1)
    hidden_B1HW = hidden_B1YX.repeat_interleave(CELL_PIXELS, 2).repeat_interleave(CELL_PIXELS, 3)
    return images_B3HW.masked_fill(hidden_B1HW, 0.5)
