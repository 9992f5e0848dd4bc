"""What a step of a stage draws, and the part of it that is a rank's own.

Every rank draws for the whole step, as one process does, and works on its own stretch of the
images. Where a loss compares images of the whole step, features of all ranks are gathered, and each
rank computes that loss. The losses of a step, its gradients included, are the means over the ranks:
a mean over a rank's own images is one of equal parts of the whole, and what all ranks compute alike
is its own mean. For the latter a rank keeps the gradient of its own rows alone, which no other rank
has: it counts as often as there are ranks.

Shape suffixes: B images of this rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.ranks import ALONE, Ranks
from chiasm.vision.learning.settings import FitSettings


@dataclass
class Draw:
    """The draws of one step: its images, and random numbers that belong to the step."""

    step: int
    """Steps done before this one."""
    numbers: np.ndarray
    """Numbers of the images of this step on all ranks, int64."""
    rng: np.random.Generator
    """Source of whole numbers and choices; equal on all ranks."""
    generator: torch.Generator
    """Source of noise; on the CPU, whatever the device."""
    ranks: Ranks = ALONE
    """The ranks that take the step together; they divide its images."""

    @property
    def own(self) -> slice:
        """Where this rank's images lie among those of the step."""
        count = len(self.numbers) // self.ranks.size
        return slice(self.ranks.rank * count, (self.ranks.rank + 1) * count)

    def noise(self, *shape: int) -> Tensor:
        """Returns normal numbers for this rank's images, on the CPU: float32 [B, *shape]."""
        return torch.randn(len(self.numbers), *shape, generator=self.generator)[self.own]

    def gathered(self, own: Tensor) -> Tensor:
        """Returns rows [B, ...] of all ranks, in the order of the step's images."""
        return own if self.ranks.size == 1 else _Gathered.apply(own, self.ranks)


class _Gathered(torch.autograd.Function):
    """Rows of all ranks; backward, the gradient of this rank's rows, once for each rank."""

    @staticmethod
    def forward(context: Any, own: Tensor, ranks: Ranks) -> Tensor:
        import torch.distributed as dist

        context.ranks = ranks
        rows = [torch.empty_like(own) for _ in range(ranks.size)]
        dist.all_gather(rows, own.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ranks: Ranks = context.ranks
        return gradients[0].chunk(ranks.size)[ranks.rank] * ranks.size, None


def draw_step(
    seed: int,
    stage: str,
    step: int,
    num_pictures: int,
    settings: FitSettings,
    ranks: Ranks = ALONE,
) -> Draw:
    """Returns the step's images (each epoch is one shuffle of all) and its random numbers."""
    purpose = list(stage.encode())
    first = step * settings.pictures_per_step
    positions = np.arange(first, first + settings.pictures_per_step)
    numbers = np.empty(len(positions), dtype=np.int64)
    # A step may cross into the next epoch, which has a permutation of its own.
    for epoch in np.unique(positions // num_pictures):
        order = np.random.default_rng([seed, *purpose, 0, int(epoch)]).permutation(num_pictures)
        here = positions // num_pictures == epoch
        numbers[here] = order[positions[here] % num_pictures]
    rng = np.random.default_rng([seed, *purpose, 1, step])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return Draw(step, numbers, rng, generator, ranks)
