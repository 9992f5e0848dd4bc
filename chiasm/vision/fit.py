"""The training loop that both stages of a vision tokenizer share: AdamW, warm-up, cosine, resume.

What a step draws (its pictures, its captions, its noise) is a function of (seed, stage, step), so
that an interrupted fit continues exactly where its last checkpoint stood.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from chiasm.errors import UserError
from chiasm.settings import Settings

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with (stage, steps done, steps in all, latest losses)."""


class FitSettings(Settings):
    """One stage's optimisation."""

    steps: int = Field(default=2000, ge=1)
    """Optimiser steps."""
    pictures_per_step: int = Field(default=256, ge=2)
    """Pictures in each step; the contrastive loss compares all of them with each other."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate of AdamW; a cosine takes it to a hundredth."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled decay, on matrices only."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints."""


@dataclass
class Draw:
    """What one step draws: its pictures, and random numbers that belong to the step."""

    numbers: np.ndarray
    """int64 [B]: the pictures of this step."""
    rng: np.random.Generator
    """For whole numbers and choices."""
    generator: torch.Generator
    """For noise."""


@dataclass
class Fit:
    """One stage: minimises the sum of ``losses`` over the parameters of ``module``."""

    stage: str
    module: nn.Module
    losses: Callable[[Draw], dict[str, Tensor]]
    """The terms whose sum is minimised, by name, already weighted."""
    num_pictures: int
    settings: FitSettings
    seed: int
    identity: str
    """A hash of all settings: a checkpoint of another identity is refused."""
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0

    def __post_init__(self) -> None:
        matrices = [p for p in self.module.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in self.module.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)

    def run(self, folder: Path, progress: Progress | None = None) -> None:
        """Train to the last step, from the stage's checkpoint in ``folder`` if there is one.

        Raises:
            UserError: the checkpoint belongs to other settings, or a loss is not finite.
        """
        checkpoint = folder / f"{self.stage}.checkpoint.pt"
        if checkpoint.exists():
            self._load(checkpoint)
        self.module.train()
        while self.step < self.settings.steps:
            terms = self._advance()
            done = self.step == self.settings.steps
            if self.step % 50 == 0 or done:
                self.history.append({"step": float(self.step), **terms})
            if progress is not None:
                progress(self.stage, self.step, self.settings.steps, terms)
            if self.step % self.settings.checkpoint_steps == 0 or done:
                self._save(checkpoint)
        self.module.eval()

    def _advance(self) -> dict[str, float]:
        draw = draw_step(self.seed, self.stage, self.step, self.num_pictures, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        terms = self.losses(draw)
        total = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(total)):
            raise UserError(
                f"stage {self.stage} of the vision tokenizer: the loss of step {self.step} is not "
                f"finite at learning_rate = {self.settings.learning_rate}; lower it"
            )
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def _save(self, path: Path) -> None:
        aside = path.with_suffix(".partial")
        state = {
            "identity": self.identity,
            "step": self.step,
            "history": self.history,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, aside)
        os.replace(aside, path)

    def _load(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        if state["identity"] != self.identity:
            raise UserError(
                f"{path} was written by a run with other settings; train into another folder or "
                "delete it to start again"
            )
        self.step, self.history = state["step"], state["history"]
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])


def learning_rate(settings: FitSettings, step: int) -> float:
    """Linear warm-up, then a cosine to a hundredth of the peak."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    share = step / max(1, settings.steps)
    return settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def draw_step(seed: int, stage: str, step: int, num_pictures: int, settings: FitSettings) -> Draw:
    """The step's pictures (each epoch is one shuffle of all) and its random numbers."""
    purpose = list(stage.encode())
    first = step * settings.pictures_per_step
    positions = np.arange(first, first + settings.pictures_per_step)
    numbers = np.empty(len(positions), dtype=np.int64)
    for epoch in np.unique(positions // num_pictures):
        order = np.random.default_rng([seed, *purpose, 0, int(epoch)]).permutation(num_pictures)
        here = positions // num_pictures == epoch
        numbers[here] = order[positions[here] % num_pictures]
    rng = np.random.default_rng([seed, *purpose, 1, step])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return Draw(numbers, rng, generator)
