"""What is trained, as the loop sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from chiasm.loop.metrics import Values

Found = TypeVar("Found")
"""What a step's backward pass leaves for the rest of the step."""


class Stream(Protocol):
    """What a task reads."""

    def get_state(self) -> Any:
        """Where it stands, as JSON can hold it."""

    def set_state(self, state: Any) -> None:
        """Go back to where it stood."""


@dataclass
class Side:
    """What one optimiser moves, and whose gradients are shortened together.

    Most tasks have one side; two networks that are trained against each other are two.
    """

    name: str
    """Follows the name of its gradients' length; empty for the first side."""
    module: nn.Module
    optimiser: torch.optim.Optimizer
    parameters: list[Tensor] = field(init=False)
    """In the module's order, on which the last digits of their gradients' length depend."""

    def __post_init__(self) -> None:
        moved = {p for group in self.optimiser.param_groups for p in group["params"]}
        self.parameters = [p for p in self.module.parameters() if p in moved]


class Task(ABC, Generic[Found]):
    """What a :class:`~chiasm.loop.loop.Loop` trains.

    What a step draws must be a function of the step and of where ``stream`` stands.
    """

    name: str
    """Told with the step in messages, as "step 7 of 10 of NAME"; empty for the decoder."""
    remedy: str
    """What a user can do about gradients that are not finite."""
    identity: str = ""
    """Of what decides the numbers: a checkpoint of another identity is refused."""
    device: torch.device
    module: nn.Module
    """All that changes in training is a parameter or a buffer of it."""
    sides: Sequence[Side]
    stream: Stream | None = None
    """What steps read, where that is not a function of the step alone."""

    def begin(self) -> None:
        """Look at what is to be trained, before the first step of a run that begins."""

    @abstractmethod
    def backward(self, step: int) -> Found:
        """Add the gradients of the step that comes after ``step`` steps."""

    def rehearse(self, step: int) -> None:
        """Most of that step's work, without a trace but in gradients."""
        self.backward(step)

    @abstractmethod
    def after_update(self, found: Found, step: int) -> None:
        """Change what no optimiser moves, when ``step`` steps are done."""

    @abstractmethod
    def report(self, found: Found) -> tuple[Values, dict[str, int]]:
        """The step's losses by name, and what it adds to the loop's counters."""

    @abstractmethod
    def speed(self, found: Found, counts: dict[str, int], seconds: float) -> Values:
        """What the clock says of a step that took ``seconds`` and counted ``counts``."""

    @abstractmethod
    def validate(self, step: int) -> Values:
        """Losses on held-out data when ``step`` steps are done; empty where there are none."""


@dataclass
class Progress:
    """What a loop counts."""

    step: int = 0
    """Steps done, skipped ones included."""
    skipped_steps: int = 0
    """Steps whose gradient was not finite."""
    skipped_in_a_row: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    """What the task's steps add up to."""

    def count(self, counts: dict[str, int], finite: bool) -> None:
        """Count a step."""
        self.step += 1
        self.skipped_steps += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        for name, value in counts.items():
            self.counters[name] = self.counters.get(name, 0) + value


@dataclass(frozen=True)
class StepReport:
    """One step, told while the run goes on."""

    step: int
    losses: Values
    """What the task measured."""
    counts: Values
    """What the loop did: lengths of gradients, learning rate, counters."""
    timing: Values
    """What the clock says."""

    @property
    def values(self) -> Values:
        """What the metrics file holds."""
        return {**self.losses, **self.counts}
