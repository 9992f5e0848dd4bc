"""How much is measured, and how pictures are drawn for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chiasm.inference.request import LEAST_GUIDANCE, MOST_GUIDANCE, SamplingSettings
from chiasm.settings import Settings
from chiasm.worldmodel.settings import PlannerSettings


class EvaluationSettings(Settings):
    """Sizes of the held-out evaluation; the defaults take about two minutes on two cores."""

    seed: int = 0
    """Keys the noise, and what shuffled actions are taken from."""
    text_documents: int = Field(400, ge=2)
    """Held-out documents for each source's bits per byte."""
    ngram_documents: int = Field(6000, ge=1)
    """Training documents of each source that the n-gram baselines count, at most."""
    flow_documents: int = Field(64, ge=2)
    """Held-out documents for each source's flow loss, measured once at every noise level."""
    flow_times: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    """Noise levels of the flow loss: 0 is noise, 1 is data."""
    probe_frames: int = Field(4000, ge=8)
    """Real training frames that the probes are fitted on."""
    judge: str = Field("own", min_length=1)
    """Through whose latents probes read pictures: those of the run's own tokenizer, or of another
    one, as ``streams.image.path`` names it, so that runs with different tokenizers are read
    alike."""
    drawings: int = Field(200, ge=2)
    """Pictures drawn from held-out captions."""
    questions: int = Field(600, ge=1)
    """Held-out questions, spread evenly over their kinds."""
    next_views: int = Field(200, ge=2)
    """Held-out next frames that are imagined with the true and with shuffled actions."""
    history_frames: int = Field(2, ge=1)
    """Frames shown before an imagined one."""
    rollouts: int = Field(32, ge=0)
    """Pieces of held-out walks that are imagined from their beginning, one view after the other,
    with the true actions and with another walk's; 0 leaves rollouts out."""
    rollout_horizons: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 4, 8, 16), min_length=1
    )
    """How many frames ahead imagined views of rollouts are measured."""
    rollout_training_frames: int = Field(4000, ge=1)
    """Training frames among which the one most like the truth is looked for."""
    instructions: int = Field(0, ge=0)
    """Held-out spoken instructions whose imagined walks are followed in the engine; 0 is none."""
    plans: int = Field(0, ge=0)
    """Held-out scenes that are planned to a goal picture; 0 leaves plans out."""
    planner: PlannerSettings = PlannerSettings()
    """How they are planned."""
    steps: int = Field(25, ge=1)
    """Steps of the solver for one picture."""
    guidance: float = Field(3.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Guidance scale of pictures drawn from captions."""
    next_view_guidance: float = Field(1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Guidance scale of imagined frames; 1 draws from the model's own distribution."""
    next_view_steps: int | None = Field(None, ge=1)
    """Steps of the solver for one imagined frame; None: as many as ``steps``. One gives the mean
    of what may be seen, which is nearest to the truth and has no detail of its own."""
    answer_tokens: int = Field(256, ge=1)
    """Tokens of an answer, at most; within that, as many as the source's longest true answer has.
    Of true answers that are longer, which count as wrong, the report has the share."""
    continuation_tokens: int = Field(120, ge=1)
    """Length of a free continuation."""
    shown: int = Field(8, ge=1)
    """Items of each kind that the report shows; always the first ones, never picked by hand."""
    rows_per_batch: int = Field(32, ge=1)
    """Requests that the sampler works on together."""

    @property
    def imagining(self) -> SamplingSettings:
        """How imagined frames are drawn."""
        return SamplingSettings(
            steps=self.next_view_steps or self.steps,
            guidance=self.next_view_guidance,
            rows_at_once=self.rows_per_batch,
        )
