"""Latents, flow time, size of a solver's step and place inside the item, embedded.

Shape suffixes: L latent tokens of all items of a stream, C latent channels, A axes, D width, J
sizes of steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

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

PLACE = 2.0
"""Standard deviation of a row's or column's embedding.

An imagined frame begins as noise: its queries find the right part of an earlier frame by place
alone, and until they do, all places of that frame are averaged. Small embeddings (0.1) drown in
what the first blocks add, and training stays with the average for thousands of steps (docs/log.md
has the figures).
"""

FEWEST_PLACES = 64
"""Along each axis that a learned table holds: grids up to it begin with the same weights."""


class TimeEmbedding(nn.Module):
    """Flow time → vector: sinusoids, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = Linear(TIME_FEATURES, width)
        self.out = Linear(width, width)

    def forward(self, time_L: Tensor, dtype: torch.dtype) -> Tensor:
        """[L] in [0, 1] → [L, D]."""
        return self.out(F.silu(self.hidden(time_features(time_L).to(dtype))))

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` times."""
        return self.hidden.flops(rows) + self.out.flops(rows)


class StepEmbedding(nn.Module):
    """Size of a solver's step, as a share of the whole way → vector.

    Sizes 1, 1/2, 1/4 and so on have a vector each, and those between a mixture of two. That of
    1 / ``steps`` and below is zero, whatever was learned.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.sizes = steps.bit_length() - 1
        self.hidden = Linear(self.sizes, width)
        self.out = Linear(width, width)

    def forward(self, step_L: Tensor, dtype: torch.dtype) -> Tensor:
        """[L] in [0, 1] → [L, D]."""
        halvings_L = -step_L.clamp_min(0.5**self.sizes).log2()
        number_J = torch.arange(self.sizes, device=step_L.device)
        near_LJ = (1 - (halvings_L.unsqueeze(-1) - number_J).abs()).clamp_min(0)
        return self.out(F.silu(self.hidden(near_LJ.to(dtype))))

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` steps."""
        return self.hidden.flops(rows) + self.out.flops(rows)


class PlaceEmbedding(nn.Module):
    """Coordinates inside an item → vector, learned or sinusoidal, axis by axis."""

    def __init__(self, settings: ModelSettings, reach: Sequence[int]) -> None:
        """``reach``: most latent tokens along each axis."""
        super().__init__()
        axes, places = len(reach), max(FEWEST_PLACES, *reach)
        self.width, self.learned = settings.width, settings.item_positions == "learned"
        self.axes = ("row", "column") if axes == 2 else tuple(f"axis{n}" for n in range(axes))
        self.roles = dict.fromkeys(self.axes, Role.TABLE) | {"gain": Role.GAIN}
        if self.learned:
            for name in self.axes:
                self.register_parameter(name, nn.Parameter(torch.empty(places, self.width)))
        else:
            # As large as learned tables.
            self.gain = nn.Parameter(torch.tensor(math.sqrt(2 * axes) * PLACE))

    def forward(self, place_LA: Tensor, dtype: torch.dtype) -> Tensor:
        """[L, A] → [L, D]."""
        if self.learned:
            tables = map(self.get_parameter, self.axes)
            return reduce(torch.add, map(F.embedding, place_LA.unbind(-1), tables)).to(dtype)
        return (self.waves(place_LA) * self.gain).to(dtype)

    def waves(self, place_LA: Tensor) -> Tensor:
        """Sines and cosines of coordinates, [L, A] → [L, D]."""
        parts = [
            sinusoids(place_L, (self.width + axis) // len(self.axes), longest_period=100.0)
            for axis, place_L in enumerate(place_LA.unbind(-1))
        ]
        return torch.cat(parts, dim=-1)


def time_features(time_L: Tensor) -> Tensor:
    """Sines and cosines of flow times, [L] → [L, TIME_FEATURES]."""
    return sinusoids(time_L * TIME_SCALE, TIME_FEATURES, TIME_SCALE)
