"""Gradients that are not finite, or many times longer than the running mean of their norm."""

from __future__ import annotations

from collections.abc import Mapping

from chiasm.errors import UserError
from chiasm.loop.progress import Progress
from chiasm.ranks import Ranks

DECAY = 0.98
"""Of the running mean of the norm: about the last 50 steps."""

LEARNED_STEPS = 50
"""Steps that are in the mean before anything is called a spike."""

SPIKES_IN_A_ROW = 5
"""So many are no accident of one batch: the weights go back to the last checkpoint."""

ROLLBACKS = 3
"""So often in one run; the next time it ends."""


NON_FINITE_LIMIT = 10
"""Steps without a finite gradient, one after another, that end the run: single ones pass, and so
many are no accident of the data."""


def is_spike(progress: Progress, norms: Mapping[str, float], factor: float | None) -> bool:
    """Whether a norm exceeds ``factor`` times its running mean; else the means learn it."""
    if factor is None:
        return False
    learned = progress.norm_steps >= LEARNED_STEPS
    if learned and any(norm > factor * progress.mean_norms[name] for name, norm in norms.items()):
        progress.spikes_in_a_row += 1
        return True
    progress.spikes_in_a_row = 0
    progress.norm_steps += 1
    for name, norm in norms.items():
        mean = progress.mean_norms.get(name, norm)
        progress.mean_norms[name] = DECAY * mean + (1 - DECAY) * norm
    return False


def asks_for_rollback(progress: Progress, ranks: Ranks) -> bool:
    """Whether the last steps were all spikes.

    Raises:
        UserError: the run has gone back too often.
    """
    if progress.spikes_in_a_row < SPIKES_IN_A_ROW:
        return False
    progress.spikes_in_a_row = 0
    progress.rollbacks += 1
    if progress.rollbacks > ROLLBACKS:
        with ranks.together():  # one of them tells
            raise UserError(
                f"training stopped at step {progress.step}: gradients were spikes "
                f"{SPIKES_IN_A_ROW} times in a row, again after {ROLLBACKS} returns to a "
                "checkpoint",
                remedy="lower training.optimizer.learning_rate or training.max_grad_norm, or raise "
                "training.spike_factor",
            )
    return True


def refuse_repeated_failure(
    progress: Progress, where: str, rate: float, remedy: str, ranks: Ranks
) -> None:
    """Ends a run whose last steps all had gradients that are not finite.

    Raises:
        UserError: so many were skipped in a row.
    """
    failures = progress.skipped_in_a_row
    if failures < NON_FINITE_LIMIT:
        return
    with ranks.together():  # one of them tells
        raise UserError(
            f"training stopped at {where}: the gradient was not finite in {failures} steps in a "
            f"row, at learning rate {rate:.3g}. The weights are those of the last finite step",
            remedy=remedy,
        )
