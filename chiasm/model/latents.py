"""Latents, flow time and place inside the picture, embedded.

Shape suffixes: L latent tokens of all images, C latent channels, D width, 2 = (row, column).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.model.layers import Linear, sinusoids
from chiasm.model.settings import ModelSettings
from chiasm.roles import Role

TIME_FEATURES = 64
"""Sines and cosines that describe a flow time."""

TIME_SCALE = 1000.0
"""Flow time in [0, 1] spans this many radians at the shortest period."""


class TimeEmbedding(nn.Module):
    """Flow time → vector: sinusoids, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = Linear(TIME_FEATURES, width)
        self.out = Linear(width, width)

    def forward(self, time_L: Tensor, dtype: torch.dtype) -> Tensor:
        """[L] in [0, 1] → [L, D]."""
        features = sinusoids(time_L * TIME_SCALE, TIME_FEATURES, TIME_SCALE)
        return self.out(F.silu(self.hidden(features.to(dtype))))

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` times."""
        return self.hidden.flops(rows) + self.out.flops(rows)


class PlaceEmbedding(nn.Module):
    """Row and column inside the picture → vector, learned or sinusoidal."""

    roles: ClassVar = {"row": Role.TABLE, "column": Role.TABLE, "gain": Role.GAIN}

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.width, self.learned = settings.width, settings.image_positions == "learned"
        limit = settings.image_grid_limit
        if self.learned:
            self.row = nn.Parameter(torch.empty(limit, self.width))
            self.column = nn.Parameter(torch.empty(limit, self.width))
        else:
            self.gain = nn.Parameter(torch.empty(()))

    def forward(self, yx_L2: Tensor, dtype: torch.dtype) -> Tensor:
        """[L, 2] → [L, D]."""
        y_L, x_L = yx_L2.unbind(-1)
        if self.learned:
            return (F.embedding(y_L, self.row) + F.embedding(x_L, self.column)).to(dtype)
        half = self.width // 2
        row_LD = sinusoids(y_L, half, longest_period=100.0)
        column_LD = sinusoids(x_L, self.width - half, longest_period=100.0)
        return (torch.cat((row_LD, column_LD), dim=-1) * self.gain).to(dtype)
