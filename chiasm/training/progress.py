"""What a run counts, what it tells of each step, and how it ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass
class Progress:
    """What a run counts."""

    step: int = 0
    """Steps done, skipped ones included."""
    skipped_steps: int = 0
    """Steps whose gradient was not finite."""
    skipped_in_a_row: int = 0
    tokens: int = 0
    """Positions read that are not padding."""
    flops: int = 0
    """Of the model's matrix products, forward and backward."""


@dataclass(frozen=True)
class StepReport:
    """One step, told while the run goes on."""

    step: int
    values: dict[str, float]
    """What the metrics file holds."""
    timing: dict[str, float]
    """What the clock says."""


@dataclass(frozen=True)
class Outcome:
    """How :meth:`Trainer.train` ended."""

    step: int
    finished: bool
    signal: signal.Signals | None
    """What asked it to stop before the last step."""
