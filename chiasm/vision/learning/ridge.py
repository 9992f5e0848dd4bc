"""The best linear decoder of given latents, in closed form.

Shape suffixes: B images, C latent channels, Y and X rows and columns of the latent grid, N cells of
all images, F features of a cell (its 3 x 3 neighbourhood of latents and a constant), J pixel
values of a cell, which are predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.ranks import Ranks


class RidgeRegression:
    """Streaming least squares with an L2 penalty: minimises |X W - Y|^2 + penalty |W|^2."""

    def __init__(self, features: int, outputs: int) -> None:
        self.count = 0
        self._gram_FF = torch.zeros(features, features, dtype=torch.float64)
        self._cross_FJ = torch.zeros(features, outputs, dtype=torch.float64)

    def update(self, features_NF: Tensor, values_NJ: Tensor) -> None:
        """Adds N rows."""
        features = features_NF.double()
        self._gram_FF += features.T @ features
        self._cross_FJ += features.T @ values_NJ.double()
        self.count += len(features)

    def over(self, ranks: Ranks) -> RidgeRegression:
        """Returns that of the rows of all ranks."""
        features, outputs = self._cross_FJ.shape
        found = RidgeRegression(features, outputs)
        [found.count] = ranks.sums([self.count])
        found._gram_FF, found._cross_FJ = ranks.all_sum(self._gram_FF, self._cross_FJ)
        return found

    def solve(self, penalty: float) -> Tensor:
        """Returns the weights, float32 [F, J]; ``penalty`` is per row, the same at any N."""
        eye = torch.eye(len(self._gram_FF), dtype=torch.float64)
        gram_FF = self._gram_FF + penalty * self.count * eye
        return torch.linalg.solve(gram_FF, self._cross_FJ).float()


def neighbourhoods(x_BCYX: Tensor) -> Tensor:
    """Returns each cell's 3 x 3 neighbourhood (zeros outside) and a one: [N, 9 C + 1]."""
    around = functional.unfold(x_BCYX, kernel_size=3, padding=1).transpose(1, 2).flatten(0, 1)
    return torch.cat((around, around.new_ones(len(around), 1)), dim=1)
