"""Quality by the number of solver steps: one model, the same items and the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from chiasm.capabilities import ActionVideos, Described
from chiasm.evaluation.drawings import (
    DrawingSettings,
    asked_captions,
    draw_captions,
    fit_probes,
    truth_of,
)
from chiasm.evaluation.evaluation import Findings, Panel, Sample, StepPoint
from chiasm.evaluation.material import spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.next_views import NextViewSettings, imagine_next
from chiasm.evaluation.pictures import LIKENESS, Truth, detail, open_reference_encoder
from chiasm.evaluation.pieces import cut_pieces
from chiasm.intervals import Better

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

_LIKENESS = ("feature distance", "perceptual distance", "PSNR")
DETAIL: tuple[str, Better] = "of the truth's", "higher"
"""Unit of detail, and direction of better values."""


class SolverStepSettings(NextViewSettings, DrawingSettings):
    """At how many solver steps quality is measured."""

    solver_steps: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of solver steps, such as [1, 2, 4, 8, 16], at each of which ``next_views`` and
    ``drawings`` are made once more and compared; empty: none."""


class SolverSteps(Measure[SolverStepSettings]):
    """Likeness and detail of imagined views, and what probes find in drawn pictures."""

    section = "solver steps"
    settings = SolverStepSettings
    baselines = (
        "The same held-out items are made under the same noise with more and fewer steps of the "
        "solver. Detail is the root mean square difference of neighbouring pixels, over that of "
        "the truth, decoded: below 1 is blurred. The mean of what may be seen, which one step "
        "gives to models without shortcuts, is near to the truth and has little detail."
    )
    heading = "What fewer solver steps cost"
    lead = "The same views under the same noise, by the number of solver steps."

    def applies(self, run: Run[SolverStepSettings]) -> str:
        """Returns the reason why it cannot be measured; empty where it can, or is switched off."""
        return NO_DECODER if run.settings.solver_steps and not run.pretrained.draws else ""

    def measure(self, run: Run[SolverStepSettings]) -> Findings:
        """Returns rows for each number of steps, their curves, and the first views."""
        if not run.settings.solver_steps:
            return Findings()
        walks = run.material.action_videos()
        found = [self.by_source(walks, lambda _, source, of: _next_views(run, source, of))]
        if described := run.material.described():
            found.append(_drawings(run, *described))
        if not walks and not described:
            why = "no source has walks with actions, or knows what its pictures show"
            found.append(Findings(skipped={self.section: why}))
        return Findings.merged(found)


def _next_views(run: Run[SolverStepSettings], held_out: ActionVideos, of: str) -> Findings:
    """Returns the findings on the imagined next views of a source.

    Raises:
        NothingToMeasure: no walk has a frame after ``history_frames``.
    """
    history = run.settings.history_frames
    pieces = cut_pieces(run, held_out, run.settings.next_views, 1)
    truth = pieces.frames[:, -1]
    judge, through = Truth(run, truth), run.through_tokenizer(truth)
    points, imagined = [], {}
    for own, steps in _by_steps(run):
        imagined[steps] = imagine_next(own, pieces, pieces.scripts(history), own.settings.imagining)
        for name, values in judge.likeness(imagined[steps], _LIKENESS).items():
            measure = run.measurement(SolverSteps.section, *LIKENESS[name], pieces.clusters)
            row = measure.row(f"{name} of the imagined next view{of}, {_told(steps)}", values)
            points.append(StepPoint(f"next view{of}: {name}", steps, row))
        title = f"next view{of}"
        points.append(_detail(run, title, imagined[steps], through, pieces.clusters, steps))
    samples = []
    for number in spread(len(pieces), run.settings.shown).tolist():
        panels = [Panel(_told(steps), views[number]) for steps, views in imagined.items()]
        panels.append(Panel("truth, decoded", through[number]))
        lines = (("", pieces.actions[number][-1]),)
        samples.append(Sample(SolverSteps.section, lines, tuple(panels)))
    return Findings([point.row for point in points], samples, points)


def _drawings(run: Run[SolverStepSettings], train: Described, held_out: Described) -> Findings:
    """Returns the findings on pictures drawn from captions."""
    captions, frames = asked_captions(held_out, run.settings.drawings)
    encoder = open_reference_encoder(run.settings.reference_encoder)
    probes = fit_probes(run, train, encoder)
    truth = truth_of(run, held_out, frames)
    through = run.through_tokenizer(truth.pictures)
    measure = run.measurement(SolverSteps.section, "share", "higher", truth.clusters)
    points = []
    for own, steps in _by_steps(run):
        drawn = draw_captions(own, captions)
        features_NF = run.features(drawn, encoder)
        found = [
            probe.predict(features_NF) == np.array([facts[attribute] for facts in truth.facts])
            for attribute, probe in probes.items()
        ]
        name = "what the caption names is found in the drawn picture"
        row = measure.row(f"{name}, {_told(steps)}", np.mean(found, axis=0))
        points.append(StepPoint("drawing: caption found", steps, row))
        points.append(_detail(run, "drawing", drawn, through, truth.clusters, steps))
    return Findings([point.row for point in points], points=points)


def _detail(
    run: Run[SolverStepSettings],
    what: str,
    made_NHW3: np.ndarray,
    through_NHW3: np.ndarray,
    clusters: np.ndarray,
    steps: int,
) -> StepPoint:
    """Returns the detail of pictures over that of the truth through the tokenizer."""
    measure = run.measurement(SolverSteps.section, *DETAIL, clusters, detail(through_NHW3))
    row = measure.row(f"detail of the {what}, {_told(steps)}", detail(made_NHW3))
    return StepPoint(f"{what}: detail", steps, row)


def _by_steps(run: Run[SolverStepSettings]) -> Iterator[tuple[Run[SolverStepSettings], int]]:
    """Yields the run with each number of solver steps."""
    for steps in run.settings.solver_steps:
        change = {"steps": steps, "next_view_steps": steps}
        yield replace(run, settings=run.settings.model_copy(update=change)), steps


def _told(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"
