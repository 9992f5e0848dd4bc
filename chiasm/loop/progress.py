"""Counters of a loop, and the report of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chiasm.loop.metrics import Values


@dataclass
class Progress:
    """Counters of a loop, part of its checkpoints."""

    step: int = 0
    """Steps done, skipped ones included."""
    skipped_steps: int = 0
    """Steps whose gradient was not finite or a spike."""
    skipped_in_a_row: int = 0
    mean_norms: dict[str, float] = field(default_factory=dict)
    """Running means of gradient norms, where spikes are looked for."""
    norm_steps: int = 0
    """Steps in them."""
    spikes_in_a_row: int = 0
    rollbacks: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    """Sums over steps, such as tokens."""

    def count(self, counts: Mapping[str, int], *, updates: bool, finite: bool) -> None:
        """Counts a step."""
        self.step += 1
        self.skipped_steps += not updates
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        for name, value in counts.items():
            self.counters[name] = self.counters.get(name, 0) + value


@dataclass(frozen=True)
class StepReport:
    """Report of one step."""

    step: int
    losses: Values
    """Losses by name."""
    values: Values
    """Losses, gradient norms, learning rate and counters: a line of the metrics file."""
    timing: Values
    """Seconds, threads and rates: a line of the timing file."""
    validation: Values = field(default_factory=dict)
    """Losses on held-out data, where they were taken after this step."""
