"""An exponential moving average of weights: what is sampled and evaluated where a run keeps one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from chiasm.ranks import own_part, reshard


class Average:
    """a ← a + (1 − d)(w − a) after every step, beginning at the weights that a module has now.

    d is ``decay``, and (1 + t) / (10 + t) while that is less, t being the steps done: a long
    average would else remember the first weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights = {name: own.detach().clone() for name, own in module.named_parameters()}
        """By the names of parameters, and split over ranks as these are."""

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves towards the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = [own_part(own) for own in self.module.parameters()]
        torch._foreach_lerp_([own_part(own) for own in self.weights.values()], now, 1 - decay)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The module has the average inside, and its own weights again outside."""
        reshard(self.module)
        kept = [own_part(own).clone() for own in self.module.parameters()]
        try:
            self._set([own_part(own) for own in self.weights.values()])
            yield
        finally:
            reshard(self.module)
            self._set(kept)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        for own, value in zip(self.module.parameters(), values, strict=True):
            own_part(own).copy_(value)
