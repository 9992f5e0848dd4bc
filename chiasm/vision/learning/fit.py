"""The training loop that all stages of a vision tokenizer share: AdamW, warm-up, cosine, resume.

What a step draws (its pictures, its captions, its noise) is a function of (seed, stage, step), so
that an interrupted fit continues exactly where its last checkpoint stood. Beside the checkpoint
stand the losses as JSON lines and, where a stage draws pictures, samples of them.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from chiasm.errors import UserError
from chiasm.roles import Role, parameter_roles
from chiasm.settings import Settings
from chiasm.stop import Stopped, StopRequest
from chiasm.threads import Threads, given_threads
from chiasm.vision.learning.samples import save_samples

LOG_STEPS = 50
"""Steps between two lines of the losses."""

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
    """AdamW's decoupled decay, on matrices alone."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints."""


@dataclass
class Draw:
    """What one step draws: its pictures, and random numbers that belong to the step."""

    step: int
    """Steps done before this one."""
    numbers: np.ndarray
    """int64 [B]: the pictures of this step."""
    rng: np.random.Generator
    """For whole numbers and choices."""
    generator: torch.Generator
    """For noise; on the CPU, whatever the device."""


@dataclass(frozen=True)
class Losses:
    """What one step yields."""

    terms: dict[str, Tensor]
    """Weighted; the step minimises their sum."""
    measures: dict[str, Tensor] = field(default_factory=dict)
    """Only logged."""


class Stage(nn.Module):
    """What a fit trains: its parameters that require gradients.

    All that changes in training is a parameter or a buffer, so that a checkpoint of the state is
    whole.
    """

    sample_steps: int | None = None
    """Steps between two calls of :meth:`samples`; None where a stage draws nothing."""

    @property
    def opponent(self) -> nn.Module | None:
        """The part, if any, that is trained against the rest: its gradients are clipped apart."""
        return None

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device

    def losses(self, draw: Draw) -> Losses:
        """The losses of one step."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called when ``step`` steps are done and before anything is saved."""

    def samples(self) -> tuple[Tensor, Tensor]:
        """Held-out pictures and what is drawn of them, both [N, 3, H, W]."""
        raise NotImplementedError


@dataclass
class Fit:
    """Minimises a stage's losses, step by step."""

    name: str
    """Of the stage: keys its random numbers and names its files."""
    stage: Stage
    num_pictures: int
    settings: FitSettings
    seed: int
    identity: str
    """A hash of all settings: a checkpoint of another identity is refused."""
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0

    def __post_init__(self) -> None:
        against = [] if self.stage.opponent is None else list(self.stage.opponent.parameters())
        known = set(against)
        own = [p for p in self.stage.parameters() if p.requires_grad and p not in known]
        self._sides = [side for side in (own, against) if side]
        roles = parameter_roles(self.stage)
        matrices = {
            p for name, p in self.stage.named_parameters() if roles.get(name) == Role.MATRIX
        }
        groups = []
        for parameters, betas in ((own, (0.9, 0.98)), (against, (0.5, 0.9))):
            for decays in (True, False):
                group = [p for p in parameters if (p in matrices) == decays]
                decay = self.settings.weight_decay if decays else 0.0
                groups.append({"params": group, "weight_decay": decay, "betas": betas})
        self.optimiser = torch.optim.AdamW([g for g in groups if g["params"]], fused=True)

    def run(self, folder: Path, progress: Progress | None = None) -> None:
        """Train to the last step, from the stage's checkpoint in ``folder`` if there is one.

        Raises:
            UserError: the checkpoint belongs to other settings or is damaged, or a loss is not
                finite.
            Stopped: SIGTERM or Ctrl-C came; the step that it found is saved.
        """
        checkpoint = folder / f"{self.name}.checkpoint.pt"
        if checkpoint.exists():
            self._load(checkpoint)
        log = folder / f"{self.name}.losses.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in self.history))
        self.stage.train()
        on_cpu = self.stage.device.type == "cpu"
        threads = Threads(
            folder / f"{self.name}.threads.json" if on_cpu else None,
            given=given_threads() if on_cpu else torch.get_num_threads(),
            tell=lambda line: None,  # the losses say nothing of speed, and the record says it all
        )
        with StopRequest() as stop, threads.in_use(self.step, self._rehearse):
            self._train(folder, checkpoint, log, stop, progress, threads.after_step)
        self.stage.eval()

    def _train(
        self,
        folder: Path,
        checkpoint: Path,
        log: Path,
        stop: StopRequest,
        progress: Progress | None,
        after_step: Callable[[int, float], None],
    ) -> None:
        while self.step < self.settings.steps:
            begin_seconds = time.perf_counter()
            values = self._advance()
            after_step(self.step, time.perf_counter() - begin_seconds)
            done = self.step == self.settings.steps
            if self.step % LOG_STEPS == 0 or done:
                self.history.append({"step": float(self.step), **values})
                with log.open("a") as lines:
                    lines.write(json.dumps(self.history[-1]) + "\n")
            every = self.stage.sample_steps
            if every is not None and (self.step % every == 0 or done):
                path = folder / "samples" / f"{self.name}-{self.step:06d}.png"
                save_samples(path, *self.stage.samples())
            if progress is not None:
                progress(self.name, self.step, self.settings.steps, values)
            if self.step % self.settings.checkpoint_steps == 0 or done or stop.signal:
                self._save(checkpoint)
            if stop.signal:
                where = f"step {self.step} of {self.settings.steps} of stage {self.name}"
                raise Stopped(stop.signal, where)

    def _losses(self) -> tuple[Losses, Tensor]:
        """Of the step at hand, and their sum."""
        draw = draw_step(self.seed, self.name, self.step, self.num_pictures, self.settings)
        losses = self.stage.losses(draw)
        return losses, torch.stack(list(losses.terms.values())).sum()

    def _rehearse(self) -> None:
        self._losses()[1].backward()
        self.optimiser.zero_grad(set_to_none=True)

    def _advance(self) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        losses, total = self._losses()
        if not bool(torch.isfinite(total)):
            raise UserError(
                f"stage {self.name} of the vision tokenizer: the loss of step {self.step} is not "
                f"finite at learning_rate = {self.settings.learning_rate}; lower it"
            )
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        for side in self._sides:
            nn.utils.clip_grad_norm_(side, 1.0)
        self.optimiser.step()
        self.step += 1
        self.stage.after_step(self.step)
        logged = losses.terms | losses.measures
        return {name: float(value.detach()) for name, value in logged.items()}

    def _save(self, path: Path) -> None:
        aside = path.with_suffix(".partial")
        state = {
            "identity": self.identity,
            "step": self.step,
            "history": self.history,
            "stage": self.stage.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, aside)
        os.replace(aside, path)

    def _load(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{path} is damaged; delete it to begin this stage again ({error})"
            ) from error
        if state["identity"] != self.identity:
            raise UserError(
                f"{path} was written by a run with other settings; train into another folder or "
                "delete it to start again"
            )
        self.step, self.history = state["step"], state["history"]
        self.stage.load_state_dict(state["stage"])
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
    return Draw(step, numbers, rng, generator)
