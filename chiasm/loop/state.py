"""The state of optimizers by the names of parameters, whatever ranks hold of them.

torch numbers parameters by their place in the optimizer's groups, and what a rank has there depends
on how weights are split. Names do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns what an optimizer keeps of each parameter, by the parameter's name in ``module``.

    Its hyperparameters are not state: the settings give them anew.
    """
    return {
        name: dict(optimizer.state[parameter])
        for name, parameter in module.named_parameters()
        if parameter in optimizer.state
    }


def empty_state(
    module: nn.Module, names: tuple[str, ...], shape: torch.Size, dtype: torch.dtype
) -> Tensor:
    """Returns a tensor for what an optimizer kept of a parameter: split over ranks as this is,
    where it has its shape. ``names`` are those of the state, the optimizer, the parameter, and what
    was kept."""
    parameter = dict(module.named_parameters()).get(names[2])
    if parameter is not None and parameter.shape == shape:
        return torch.empty_like(parameter, dtype=dtype, requires_grad=False)
    return torch.empty(shape, dtype=dtype)


def load_optimizer(
    module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Gives an optimizer the state that :func:`optimizer_state` returned."""
    parameters = dict(module.named_parameters())
    moved = [own for group in optimizer.param_groups for own in group["params"]]
    number = {id(own): place for place, own in enumerate(moved)}
    numbered = {number[id(parameters[name])]: own for name, own in state.items()}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": numbered})
