"""What a loop saves: weights, optimizers, random numbers, counters and the position in the data.

Optimizers are saved by the names of parameters: torch numbers them by their place in the groups,
and what a rank has there depends on how weights are split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chiasm.errors import UserError
from chiasm.loop.checkpoint import Checkpoints
from chiasm.loop.progress import Progress
from chiasm.ranks import ALONE, Ranks, reshard

FORMAT = 3
"""Of what is saved."""


class Stream(Protocol):
    """Data that steps read; its state is JSON-able."""

    def get_state(self) -> Any:
        """Returns the current position."""

    def set_state(self, state: Any) -> None:
        """Restores a position."""

    def merged(self, states: Sequence[Any]) -> Any:
        """Returns the position of all ranks, from which any number of them goes on."""


@dataclass
class TrainingState:
    """The state of a loop, on all ranks together."""

    module: nn.Module
    """Everything that training changes is a parameter or a buffer of it."""
    optimizers: Mapping[str, torch.optim.Optimizer]
    progress: Progress = field(default_factory=Progress)
    stream: Stream | None = None
    ranks: Ranks = ALONE
    more: dict[str, Any] = field(default_factory=dict)
    """Further tensors by name, nested; a checkpoint is read into them."""

    def save(self, checkpoints: Checkpoints, *, background: bool) -> None:
        """Writes a checkpoint; in the background if the training is to go on meanwhile.

        Raises:
            UserError: the disk is full or refuses, now or for the checkpoint before.
        """
        stream = self.stream
        position = stream and stream.merged(self.ranks.gather(stream.get_state()))
        progress = {
            "format": FORMAT,
            "counters": asdict(self.progress),
            "stream": position,
        }
        optimizers = {name: kept_of(self.module, own) for name, own in self.optimizers.items()}
        tensors = {**self.tensors(), "optimizers": optimizers}
        checkpoints.save(self.progress.step, tensors, progress, background=background)

    def restore(self, checkpoints: Checkpoints) -> bool:
        """Restores the newest undamaged checkpoint; returns False where there is none.

        Raises:
            UserError: all are damaged, or an earlier version wrote them.
        """
        progress = self._read(checkpoints)
        if progress is None:
            return False
        torch.set_rng_state(progress["random"])
        if self.stream:
            self.stream.set_state(progress["stream"])
        self.progress = Progress(**progress["counters"])
        return True

    def return_weights(self, checkpoints: Checkpoints) -> bool:
        """Restores weights and optimizers of the newest checkpoint, and nothing else; returns False
        where there is none."""
        checkpoints.wait()
        return self._read(checkpoints) is not None

    def _read(self, checkpoints: Checkpoints) -> dict[str, Any] | None:
        """Restores weights and optimizers; returns the rest."""
        tensors = self.tensors()
        progress = checkpoints.restore(tensors, "optimizers", self._empty)
        if progress is None:
            return None
        if progress.get("format") != FORMAT:
            why = f"{checkpoints.folder} was written by an earlier version of chiasm"
            raise UserError(why, remedy="start the run again with --fresh")
        self.module.load_state_dict(tensors["model"])
        for name, optimizer in self.optimizers.items():
            give(self.module, optimizer, tensors["optimizers"].get(name, {}))
        return {**progress, "random": tensors["random"]}

    def tensors(self) -> dict[str, Any]:
        """Returns all but the optimizers: tensors of which each rank has a part."""
        reshard(self.module)
        return {
            "model": self.module.state_dict(),
            "random": torch.get_rng_state(),
            **self.more,
        }

    def _empty(self, names: tuple[str, ...], shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """A tensor for what an optimizer kept of a parameter: split over ranks as this is, where
        it has its shape. ``names``: of the state, the optimizer, the parameter, what was kept."""
        parameter = dict(self.module.named_parameters()).get(names[2])
        if parameter is not None and parameter.shape == shape:
            return torch.empty_like(parameter, dtype=dtype, requires_grad=False)
        return torch.empty(shape, dtype=dtype)


def kept_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns what an optimizer keeps of each parameter, by the parameter's name in ``module``.

    Its hyperparameters are not state: the settings give them anew.
    """
    return {
        name: dict(optimizer.state[parameter])
        for name, parameter in module.named_parameters()
        if parameter in optimizer.state
    }


def give(module: nn.Module, optimizer: torch.optim.Optimizer, kept: Mapping[str, Any]) -> None:
    """Gives an optimizer what :func:`kept_of` returned."""
    parameters = dict(module.named_parameters())
    moved = [own for group in optimizer.param_groups for own in group["params"]]
    number = {id(own): place for place, own in enumerate(moved)}
    numbered = {number[id(parameters[name])]: own for name, own in kept.items()}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": numbered})
