"""Groups of parameters, the same for every optimizer: matrices, which decay, and the rest; of the
matrices those between hidden vectors are a group of their own.

Gains, biases and tables (embeddings) do not decay: a row of a table would be pulled to zero at
every step although most steps never read it, and a norm's gain against its gradient. A parameter's
role is declared by the module that creates it (:mod:`chiasm.roles`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from chiasm.errors import UserError, settings_of
from chiasm.loop.clipping import by_mesh
from chiasm.loop.settings import LoopSettings
from chiasm.roles import Role, parameter_roles, row_parts


def parameter_groups(
    model: nn.Module, weight_decay: float, without: nn.Module | None = None
) -> list[dict[str, Any]]:
    """Returns the trainable parameters of ``model``, matrices first; no group is empty, and none
    has weights that are split over ranks in several ways.

    ``without`` is a part of ``model`` that another optimizer trains.
    """
    others = set() if without is None else set(without.parameters())
    parameters = dict(model.named_parameters())
    roles = {n: role for n, role in parameter_roles(model).items() if parameters[n] not in others}
    told = row_parts(model).items()  # an adapted weight is no parameter
    parts = {id(parameters[name]): rows for name, rows in told if name in parameters}
    groups: list[dict[str, Any]] = []
    for asked in (Role.HIDDEN, Role.MATRIX, None):
        matrices = asked is not None
        about: dict[str, Any] = {"weight_decay": weight_decay * matrices, "matrices": matrices}
        about |= {"hidden": asked is Role.HIDDEN, "row_parts": parts}
        own = [
            parameters[name]
            for name, role in roles.items()
            if role is asked or (not matrices and role not in (Role.HIDDEN, Role.MATRIX))
        ]
        groups += [{"params": each, **about} for each in by_mesh(own)]
    return groups


def matching(names: Collection[str], patterns: Sequence[str], setting: str) -> set[str]:
    """Returns the names of parameters that match one of the patterns of a setting.

    Raises:
        UserError: a pattern that no name matches.
    """
    found: set[str] = set()
    for pattern in patterns:
        own = [name for name in names if fnmatchcase(name, pattern)]
        if not own:
            near = get_close_matches(pattern, names, 1, cutoff=0)
            why = f"matches no parameter; one is called {near[0]}"
            raise UserError(why, setting=setting, value=pattern)
        found.update(own)
    return found


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Leaves parameters whose names match one of the patterns without gradients.

    Raises:
        UserError: a pattern that no name matches, or nothing left to train.
    """
    parameters = dict(model.named_parameters())
    for name in matching(parameters, patterns, "frozen"):
        parameters[name].requires_grad_(False)
    if not any(own.requires_grad for own in parameters.values()):
        raise UserError("leaves nothing to train", setting="frozen", value=[*patterns])


def build_optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.Optimizer:
    """Returns the optimizer that a loop asks for; a kind whose code fails is a UserError."""
    asked = settings.optimizer
    with settings_of("optimizer"), asked.calling("build()"):
        optimizer = asked.build(parameter_groups(model, asked.weight_decay))
        if not isinstance(optimizer, torch.optim.Optimizer):
            told = f"gives a {type(optimizer).__name__} in {type(asked).__name__}.build()"
            raise asked.error("kind", told, "return a torch.optim.Optimizer")
    return optimizer
