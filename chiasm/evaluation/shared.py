"""Settings that several measures share: the bases of each one's own settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chiasm.inference.request import LEAST_GUIDANCE, MOST_GUIDANCE, SamplingSettings
from chiasm.settings import Settings

MEAN, SAMPLED = ", the mean", ", sampled"
"""Suffixes of the names of rows on views in one step of the solver, or in many."""


class MeasureSettings(Settings):
    """What every measure is told; a measure with settings of its own adds them in a subclass.

    They all stand beside each other in the recipe's table ``evaluation``.
    """

    seed: int = 0
    """Keys the noise, and what shuffled actions are taken from."""
    steps: int = Field(25, ge=1)
    """Steps of the solver for one picture."""
    guidance: float = Field(3.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Guidance scale of pictures and sounds that are made from captions or from each other."""
    inner_guidance: float = Field(1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Scale of their guidance by the head in the middle (``model.inner``); 1 is none."""
    shown: int = Field(8, ge=1)
    """Items of each kind that the report shows; chosen by their places in the held-out split, never
    by hand."""
    batch_size: int = Field(32, ge=1)
    """Requests that the sampler works on together."""

    @property
    def drawing(self) -> SamplingSettings:
        """Sampling settings of drawn images."""
        return SamplingSettings(
            steps=self.steps,
            guidance=self.guidance,
            inner_guidance=self.inner_guidance,
            batch_size=self.batch_size,
        )

    def writing(self, max_tokens: int, temperature: float = 0) -> SamplingSettings:
        """Returns the sampling settings of written text: greedy, unless a temperature is given."""
        return SamplingSettings(
            temperature=temperature, max_tokens=max_tokens, batch_size=self.batch_size
        )


class WalkSettings(MeasureSettings):
    """What measures of imagined views are told."""

    history_frames: int = Field(2, ge=1)
    """Frames shown before an imagined one."""
    next_view_guidance: float = Field(1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Guidance scale of imagined frames and sounds; 1 draws from the model's own distribution."""
    next_view_inner_guidance: float = Field(1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Scale of their guidance by the head in the middle (``model.inner``); 1 is none."""
    next_view_steps: int | None = Field(None, ge=1)
    """Steps of the solver for one imagined frame; None: as many as ``steps``. One gives the mean
    of what may be seen, which is nearest to the truth and has no detail of its own, unless the
    model has shortcuts (``model.shortcut_steps``)."""
    history_noise: float = Field(0.0, ge=0, lt=1)
    """Noise with which imagined frames are read for the next one; for models that were trained with
    as much ``objective.context_noise``."""

    kept_window: bool = False
    """Whether the views that stay in a roll-out's full document keep what they have read of those
    that left it, instead of being read anew."""

    @property
    def imagining(self) -> SamplingSettings:
        """Sampling settings of imagined frames."""
        return SamplingSettings(
            steps=self.next_view_steps or self.steps,
            guidance=self.next_view_guidance,
            inner_guidance=self.next_view_inner_guidance,
            history_noise=self.history_noise,
            kept_window=self.kept_window,
            batch_size=self.batch_size,
        )

    @property
    def imagining_both(self) -> dict[str, SamplingSettings]:
        """Sampling settings of imagined frames, and those of the other of mean and sample, if
        ``steps`` are not one as well; under suffixes of the names of rows."""
        own = self.imagining
        other, steps = (SAMPLED, self.steps) if own.steps == 1 else (MEAN, 1)
        if steps == own.steps:
            return {"": own}
        return {"": own, other: own.model_copy(update={"steps": steps})}


class HorizonSettings(WalkSettings):
    """What measures of views further ahead are told."""

    rollout_horizons: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 4, 8, 16), min_length=1
    )
    """How many frames ahead imagined views of rollouts and of clips are measured."""
