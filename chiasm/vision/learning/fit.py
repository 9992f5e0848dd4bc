"""The loop that trains a stage of a vision tokenizer.

All draws of a step (images, captions, noise) are functions of (seed, stage, step), so that
checkpoints need no random state. Several ranks hold copies of the stage, each works on its part of
a step's images, and what they learn is the mean of their gradients (:mod:`.draw`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from chiasm.errors import UserError, setting
from chiasm.loop.groups import parameter_groups
from chiasm.loop.loop import Loop
from chiasm.loop.metrics import Values
from chiasm.loop.optimizer import AdamWSettings
from chiasm.loop.schedule import ScheduleSettings
from chiasm.loop.settings import LoopSettings
from chiasm.loop.tracker import TrackerSettings
from chiasm.ranks import ALONE, Ranks
from chiasm.settings import Settings
from chiasm.vision.learning.draw import Draw, draw_step
from chiasm.vision.learning.settings import FitSettings

LOG_STEPS = 50
"""Steps between two log entries of the losses."""
NO_TRACKER = TrackerSettings()


@dataclass(frozen=True)
class Losses:
    """The loss terms of one step on one rank; those of the step are their means over the ranks."""

    terms: dict[str, Tensor]
    """Weighted terms; the step minimises their sum."""
    measures: dict[str, Tensor] = field(default_factory=dict)
    """Values that are only logged."""


class Stage(nn.Module):
    """The module that a fit trains: its parameters that require gradients.

    All that changes in training is a parameter or a buffer, so that a checkpoint of the state is
    complete.
    """

    sample_steps: int | None = None
    """Steps between two calls of :meth:`samples`; None where a stage draws nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.opponent: nn.Module | None = None
        """The part, if any, that is trained against the rest: its gradients are clipped alone."""

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def losses(self, draw: Draw) -> Losses:
        """Returns the losses of one step, on this rank's images."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called when ``step`` steps are done and before anything is saved."""

    def samples(self) -> tuple[Tensor, Tensor] | None:
        """Returns held-out images and their reconstructions, both [N, 3, H, W], or None."""
        return None


class Fit(Loop[Losses]):
    """The loop that trains a stage, which is on its device already.

    ``key``, the stage's short name, keys its random numbers and names its files; ``folder`` gets
    samples; ``identity`` is a hash of all settings and data. ``ranks`` train the stage together,
    each a copy of it.
    """

    def __init__(
        self,
        key: str,
        stage: Stage,
        num_pictures: int,
        settings: FitSettings,
        seed: int,
        folder: Path,
        identity: str,
        tell: Callable[[str], None] = print,
        ranks: Ranks = ALONE,
        tracker: TrackerSettings = NO_TRACKER,
    ) -> None:
        self.key, self.stage, self.num_pictures = key, stage, num_pictures
        self.asked, self.seed, self.folder, self.identity = settings, seed, folder, identity
        self.name = f"stage {key}"
        asked = AdamWSettings(
            learning_rate=settings.learning_rate, beta2=0.98, weight_decay=settings.weight_decay
        )
        against = stage.opponent
        groups = parameter_groups(stage, asked.weight_decay, without=against)
        optimizers = {"gradient_norm": asked.build(groups, steps_taken=0)}
        if against is not None:
            others = asked.model_copy(update={"beta1": 0.5, "beta2": 0.9})
            groups = parameter_groups(against, asked.weight_decay)
            optimizers["gradient_norm/opponent"] = others.build(groups, steps_taken=0)
        super().__init__(
            stage,
            optimizers,
            LoopSettings(
                steps=settings.steps,
                log_every_steps=LOG_STEPS,
                validate_every_steps=stage.sample_steps or settings.steps,
                checkpoint_every_steps=settings.checkpoint_steps,
                optimizer=asked,
                tracker=tracker,
                schedule=ScheduleSettings(
                    shape="full_cosine", warmup_steps=settings.warmup_steps + 1, min_lr_ratio=0.01
                ),
            ),
            remedy=f"lower {setting('learning_rate')} or raise {setting('warmup_steps')}",
            ranks=ranks,
            tell=tell,
        )

    def begin(self) -> None:
        """Gives all ranks the first one's weights: machines may solve a start a little apart."""
        if self.ranks.size > 1:
            state = [*self.stage.parameters(), *self.stage.buffers()]
            told = [own if self.ranks.is_first else torch.zeros_like(own) for own in state]
            with torch.no_grad():
                for own, first in zip(state, self.ranks.all_sum(*told), strict=True):
                    own.copy_(first)

    def backward(self) -> Losses:
        """Computes gradients of the sum of the step's terms; returns the losses."""
        step, ranks = self.progress.step, self.ranks
        draw = draw_step(self.seed, self.key, step, self.num_pictures, self.asked, ranks)
        losses = self.stage.losses(draw)
        total = torch.stack(list(losses.terms.values())).sum()
        (total / ranks.size).backward()
        if ranks.size > 1:
            grads = [own.grad for own in self.stage.parameters() if own.grad is not None]
            for own, whole in zip(grads, ranks.all_sum(*grads), strict=True):
                own.copy_(whole)
        return losses

    def after_update(self, found: Losses) -> None:
        """Calls the stage's update after a step."""
        self.stage.after_step(self.progress.step + 1)

    def report(self, found: Losses) -> tuple[Values, dict[str, int]]:
        """Returns terms and measures; images, each as often as it was shown."""
        logged = found.terms | found.measures
        own = torch.stack([value.detach() for value in logged.values()])
        [total] = self.ranks.all_sum(own)
        losses = dict(zip(logged, (total / self.ranks.size).tolist(), strict=True))
        return losses, {"pictures": self.asked.pictures_per_step}

    def speed(self, found: Losses, counts: dict[str, int], seconds: float) -> Values:
        """Returns images per second."""
        return {"pictures_per_second": counts["pictures"] / seconds}

    def validate(self) -> Values:
        """Draws samples, on the first rank."""
        with self.ranks.together():
            samples = self.stage.samples() if self.ranks.is_first else None
            if samples is not None:
                name = f"{self.key}-{self.progress.step:06d}.png"
                save_samples(self.folder / "samples" / name, *samples)
        return {}


def stage_about(settings: Settings, stage: str) -> dict[str, Any]:
    """Returns what a tracker shows of a stage of a tokenizer's training."""
    told = settings.model_dump(mode="json")
    return {**told, "name": f"{told['name']}: {stage}"}


def save_samples(path: Path, true_N3HW: Tensor, drawn_N3HW: Tensor) -> None:
    """Writes N images above their reconstructions as a PNG; values outside [0, 1] are clamped.

    Raises:
        UserError: the disk is full or refuses.
    """
    rows = torch.stack((true_N3HW, drawn_N3HW)).clamp(0, 1).mul(255).round().byte().cpu()
    grid_HW3 = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grid_HW3.numpy()).save(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}. Earlier checkpoints are intact; make "
            "room and run the same command again to go on"
        ) from error
