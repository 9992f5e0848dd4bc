"""Muon (Jordan et al. 2024): matrices between hidden vectors move by orthogonalized momentum.

Momentum M ← μM + G; the step is U = NS(G + μM), whose singular values are near 1, times
0.2 √max(rows, columns), so that its size is that of an AdamW step and one learning rate serves both
(arXiv 2502.16982, equation 4). All other parameters take AdamW's step.

A weight that holds several matrices (experts; queries, keys and values; gate and up) is cut into
them, and matrices of one shape are orthogonalized together.

Shape suffixes: N matrices of R rows and C columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.device import kind_of
from chiasm.ranks import own_part, part_of

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x ← ax + bx³ + cx⁵ on singular values: steep at 0, and near 1 it stays near 1."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps as above for groups with ``hidden``, and those of another optimizer for the others.

    Groups are those of :func:`chiasm.loop.groups.parameter_groups`; ``others`` makes the optimizer
    of a list of groups.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        learning_rate: float,
        momentum: float,
        others: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
    ) -> None:
        super().__init__(groups, {"lr": learning_rate, "momentum": momentum})
        rest = [group for group in self.param_groups if not group["hidden"]]
        self._others = others(rest) if rest else None
        if self._others is not None:
            self.state.update(self._others.state)
        for parameter in (own for group in self._hidden for own in group["params"]):
            self.state[parameter] = {"momentum": torch.zeros_like(parameter)}
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    @property
    def _hidden(self) -> list[dict[str, Any]]:
        return [group for group in self.param_groups if group["hidden"]]

    def _share(self) -> None:
        """Both optimizers have one state, and groups that are the same objects."""
        if self._others is not None:
            self._others.state = self.state
            self._others.param_groups = [own for own in self.param_groups if not own["hidden"]]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates all parameters that have gradients."""
        for group in self._hidden:
            moved = [own for own in group["params"] if own.grad is not None]
            directions = [self._direction(own, group["momentum"]) for own in moved]
            parts = [group["row_parts"].get(id(own), ()) for own in moved]
            rate = group["lr"]
            for own, update in zip(moved, _updates(directions, parts), strict=True):
                own_part(own).mul_(1 - rate * group["weight_decay"]).sub_(
                    rate * (update if _has_whole(own) else own_part(part_of(own, update)))
                )
        if self._others is not None:
            self._others.step()

    def _direction(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """Moves the momentum; returns the matrices of Nesterov's look ahead, whole."""
        kept = self.state[parameter]["momentum"]
        kept.mul_(momentum).add_(parameter.grad)
        ahead = parameter.grad + momentum * kept
        return own_part(ahead) if _has_whole(parameter) else ahead.full_tensor()


def _has_whole(parameter: Tensor) -> bool:
    """Whether this rank has whole matrices: no split goes through rows or columns."""
    placements = getattr(parameter, "placements", ())
    return all(own.is_replicate() or own.dim < parameter.ndim - 2 for own in placements)


def _updates(weights: list[Tensor], row_parts: list[tuple[int, ...]]) -> list[Tensor]:
    """Orthogonalized weights at AdamW's scale; ``row_parts``: rows of the matrices in each."""
    pieces = [
        weight.reshape(-1, *weight.shape[-2:]).split(rows or weight.shape[-2], dim=1)
        for weight, rows in zip(weights, row_parts, strict=True)
    ]
    by_shape = defaultdict(list)
    for number, of_weight in enumerate(pieces):
        for place, piece in enumerate(of_weight):
            by_shape[piece.shape[1:]].append((number, place))
    done: dict[tuple[int, int], Tensor] = {}
    for shape, places in by_shape.items():
        found = [pieces[number][place] for number, place in places]
        scaled = 0.2 * max(shape) ** 0.5 * orthogonalized(torch.cat(found))
        done |= zip(places, scaled.split([len(each) for each in found]), strict=True)
    return [
        torch.cat([done[number, place] for place in range(len(own))], dim=1).view_as(weight)
        for number, (own, weight) in enumerate(zip(pieces, weights, strict=True))
    ]


def orthogonalized(x_NRC: Tensor) -> Tensor:
    """U Vᵀ of each matrix's U S Vᵀ, approximately: singular values between 0.7 and 1.2.

    Five Newton-Schulz iterations, in bfloat16 on CUDA.
    """
    a, b, c = COEFFICIENTS
    wide = x_NRC.shape[-2] <= x_NRC.shape[-1]
    x = x_NRC if wide else x_NRC.mT.contiguous()
    x = x.bfloat16() if kind_of(x) == "cuda" else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(x_NRC.dtype)
