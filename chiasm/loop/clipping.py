"""Gradients clipped by one norm, also where weights are split over ranks in several ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Returns the parameters by the mesh of ranks that they are split over, in their order: torch
    computes with tensors of one mesh at a time."""
    groups: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter, "device_mesh", None), []).append(parameter)
    return list(groups.values())


def clip_grad_norm(parameters: Sequence[nn.Parameter], max_norm: float) -> float:
    """Shortens gradients to ``max_norm`` together; returns their norm before, over all ranks."""
    groups = by_mesh(own for own in parameters if own.grad is not None)
    grads = [[own.grad for own in group if own.grad is not None] for group in groups]
    norms = [_whole(nn.utils.get_total_norm(group)) for group in grads]
    total = norms[0] if len(norms) == 1 else torch.stack(norms).square().sum().sqrt()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, max_norm, total)
    return float(total)


def _whole(norm: Tensor) -> Tensor:
    """The norm over all ranks."""
    return getattr(norm, "full_tensor", lambda: norm)()
