"""Flow loss of held-out items at fixed noise levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.batch.streams import IMAGE
from chiasm.evaluation.evaluation import Findings, FlowPoint
from chiasm.evaluation.material import Items
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.shared import MeasureSettings
from chiasm.flow import FLOW_TIMES

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

BASELINE = "best linear guess"


def linear_guess(time: float) -> float:
    """Returns the least velocity loss of a linear function of z_t when z itself is white noise.

    v = z - ε and z_t = (1 - t)·ε + t·z give Var(v | z_t) = 2 - (2t - 1)² / (t² + (1 - t)²), which
    is 1 / (t² + (1 - t)²).
    """
    return 1 / (time**2 + (1 - time) ** 2)


class FlowLossSettings(MeasureSettings):
    """How many items the flow loss is measured on."""

    flow_documents: int = Field(64, ge=2)
    """Held-out documents for each source's flow loss, measured once at every noise level."""


class Flow(Measure[FlowLossSettings]):
    """Velocity loss of each source with targets of a stream, mean over the levels; its curve."""

    section = "flow loss"
    settings = FlowLossSettings
    baselines = (
        "The baseline is the best linear guess for latents that are white noise of mean 0 and "
        "variance 1, whose velocity loss at flow time t is 1 / (t² + (1 − t)²): what is reached "
        "by knowing nothing but the latents' scale."
    )

    def measure(self, run: Run[FlowLossSettings]) -> Findings:
        """Returns the rows and the curves."""
        found = []
        for name in run.material.held_out:
            # Twice as many are asked for, since half of some sources' items are only context.
            picked = run.pick(name, 2 * run.settings.flow_documents)
            for stream in run.pretrained.tokenizers.streams.generated:
                items = picked.with_targets(stream)
                if items.documents:
                    found.append(self._of(run, name, stream, items))
        none = {} if found else {self.section: "no source has pictures to draw"}
        return Findings.merged([*found, Findings(skipped=none)])

    def _of(self, run: Run[FlowLossSettings], name: str, stream: str, items: Items) -> Findings:
        from chiasm.evaluation.scoring import score_flow

        seed = run.settings.seed
        sums, tokens = score_flow(items.documents, run.pretrained, FLOW_TIMES, seed, stream)
        name = name if stream == IMAGE else f"{name} ({stream})"
        measure = run.measurement(self.section, "velocity loss", "lower", items.clusters, tokens)
        points = [
            FlowPoint(
                name,
                time,
                measure.row(f"{name} at t = {time}", loss, linear_guess(time) * tokens, BASELINE),
            )
            for time, loss in zip(FLOW_TIMES, sums, strict=True)
        ]
        guess = float(np.mean([linear_guess(time) for time in FLOW_TIMES]))
        label = f"{name}, mean over t = {', '.join(f'{time:g}' for time in FLOW_TIMES)}"
        return Findings([measure.row(label, sums.mean(0), guess * tokens, BASELINE)], (), points)
