"""Roles of parameters, declared by the modules that create them.

An optimizer treats a matrix and a norm's gain differently, and neither the name nor the shape of a
parameter distinguishes them: gains of two modalities are [2, width] as a small matrix is, and a
table of embeddings is as large as a matrix. A module therefore declares the roles of its own
parameters in a class attribute ``roles``, and by dotted names those of its parts that it knows
better; those of torch's layers are defined here. A weight of several matrices, one above the other,
says in an attribute ``row_parts`` how many rows each has.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from torch import nn

from chiasm.errors import UserError


class Role(Enum):
    """Role of a parameter."""

    MATRIX = "matrix"
    """Multiplies activations: a linear layer's weight, a convolution's kernel."""
    HIDDEN = "hidden"
    """A matrix, or several, between hidden vectors: not what enters or leaves a network, and no
    scores. Muon orthogonalizes these alone."""
    TABLE = "table"
    """Vectors that are looked up by number or added by place: an embedding."""
    GAIN = "gain"
    """Scales or shifts activations channel by channel: a norm's gain, a bias, a temperature."""


_LAYER = {"weight": Role.MATRIX, "bias": Role.GAIN}
_NORM = {"weight": Role.GAIN, "bias": Role.GAIN}
_TORCH: dict[type[nn.Module], dict[str, Role]] = {
    nn.Linear: _LAYER,
    nn.Conv1d: _LAYER,
    nn.Conv2d: _LAYER,
    nn.LayerNorm: _NORM,
    nn.GroupNorm: _NORM,
    nn.Embedding: {"weight": Role.TABLE},
}


def parameter_roles(model: nn.Module) -> dict[str, Role]:
    """Returns the role of every parameter that requires gradients, by its name.

    Raises:
        UserError: a module does not declare the role of one of its parameters.
    """
    roles: dict[str, Role] = {}
    known = _dotted(model, "roles")
    for prefix, module in model.named_modules():
        own = _declared(module)
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if not parameter.requires_grad:
                continue
            short = name.rpartition(".")[2]
            if not isinstance(own.get(short), Role):
                told = f"{own[short]!r}, which is no Role," if short in own else "nothing"
                raise UserError(
                    f"{type(module).__name__}.roles says {told} of {short!r} ({name})",
                    remedy=f'write roles = {{"{short}": Role.GAIN}}, or MATRIX or TABLE, of '
                    "chiasm.roles, so that it is drawn and decays as it should",
                )
            roles[name] = known.get(name, own[short])
    return roles


def row_parts(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Returns the rows of each matrix of the weights that hold several, by their names."""
    return _dotted(model, "row_parts")


def _dotted(model: nn.Module, attribute: str) -> dict[str, Any]:
    """What modules say of parameters in an attribute, by full names; the outermost is right."""
    found: dict[str, Any] = {}
    for prefix, module in model.named_modules():
        for name, said in (getattr(module, attribute, None) or {}).items():
            found.setdefault(f"{prefix}.{name}" if prefix else name, said)
    return found


def _declared(module: nn.Module) -> dict[str, Role]:
    declared: Any = getattr(module, "roles", None)
    if declared is not None:
        return declared
    return next((roles for kind, roles in _TORCH.items() if isinstance(module, kind)), {})
