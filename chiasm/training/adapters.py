"""Low-rank adapters of a trained model (LoRA, Hu et al., arXiv 2106.09685).

Its matrices stay as they are, and beside each the product of two thin ones is learned. What is
written is the sum: a model as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from chiasm.errors import settings_of
from chiasm.loop.groups import matching
from chiasm.roles import Role, parameter_roles
from chiasm.training.settings import LoraSettings


class LowRank(nn.Module):
    """W + scale · up · down, for a matrix or several of one shape, [..., outputs, inputs].

    ``up`` begins at zero, so that the first step sees the weight itself.
    """

    roles: ClassVar = {"up": Role.MATRIX, "down": Role.MATRIX}

    def __init__(self, weight: Tensor, rank: int, scale: float, random: torch.Generator) -> None:
        super().__init__()
        *each, outputs, inputs = weight.shape
        down = torch.randn(*each, rank, inputs, generator=random) * inputs**-0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(weight.new_zeros(*each, outputs, rank))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the adapted weight."""
        return weight + self.scale * (self.up @ self.down)


def adapt(
    decoder: nn.Module, settings: LoraSettings, seed: int, tell: Callable[[str], None]
) -> None:
    """Gives matrices between hidden vectors an adapter each; nothing else is trained any more, but
    for what the settings name.

    Raises:
        UserError: a pattern that matches nothing.
    """
    parameters = dict(decoder.named_parameters())
    with settings_of("training.lora"):
        within = matching(parameters, settings.on, "on")
        whole = matching(parameters, settings.trained, "trained")
    roles = parameter_roles(decoder)
    chosen = [n for n in parameters if n in within - whole and roles[n] is Role.HIDDEN]
    random = torch.Generator().manual_seed(seed)
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in whole)
        if name in chosen:
            place, _, own = name.rpartition(".")
            adapter = LowRank(parameter, settings.rank, settings.scale, random)
            parametrize.register_parametrization(decoder.get_submodule(place), own, adapter)
    learned = sum(own.numel() for own in decoder.parameters() if own.requires_grad)
    total = sum(own.numel() for own in parameters.values())
    tell(f"training.lora: {learned:,} numbers are learned beside {total:,}")


def merged(weights: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Returns weights of an adapted decoder as those of a plain one, by their names there."""
    found = {}
    for name, weight in weights.items():
        place, inside, own = name.partition(".parametrizations.")
        if not inside:
            found[name] = weight
        elif own.endswith(".original"):
            up, down = (weights[f"{name.removesuffix('original')}0.{n}"] for n in ("up", "down"))
            found[f"{place}.{own.removesuffix('.original')}"] = weight + scale * (up @ down)
    return found
