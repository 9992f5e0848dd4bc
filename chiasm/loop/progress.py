"""What a loop counts, and what it tells of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chiasm.loop.metrics import Values


@dataclass
class Progress:
    """What a loop counts."""

    step: int = 0
    """Steps done, skipped ones included."""
    skipped_steps: int = 0
    """Steps whose gradient was not finite."""
    skipped_in_a_row: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    """What steps add up to, such as tokens."""

    def count(self, counts: Mapping[str, int], finite: bool) -> None:
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
    """What was measured."""
    values: Values
    """Losses, lengths of gradients, learning rate and counters: what the metrics file holds."""
    timing: Values
    """What the clock says."""
