"""The whole evaluation: every measure that the data allows, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from chiasm.data.reading import ReadingLog
from chiasm.errors import origin
from chiasm.evaluation.evaluation import (
    Evaluation,
    Findings,
    FlowPoint,
    HorizonPoint,
    StepPoint,
)
from chiasm.evaluation.material import Material
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.run import Run
from chiasm.evaluation.settings import MEASURES, EvaluationSettings, check_measures, complete
from chiasm.inference.pretrained import Pretrained

REMEMBERED_BYTES = 2**28
"""Of latents: measures look at the same pictures, and one of them at a picture several times."""

ProgressCallback = Callable[[str, int, int], None]
"""Called before each measure with its section, its number from 0, and how many there are."""


def evaluate(
    pretrained: Pretrained,
    material: Material,
    settings: EvaluationSettings | None = None,
    progress: ProgressCallback | None = None,
    sections: Collection[str] = (),
) -> Evaluation:
    """Returns the measures of a model on held-out data, beside its baselines; those of some
    sections alone, where they are given.

    What the sources do not allow is skipped, with the reason in ``Evaluation.skipped``; so is a
    measure of a user's own that fails. The result is a function of the model, the data, the
    settings and the registered measures.

    Raises:
        UserError: a file that a measure needs is not there, or most of a source cannot be read.
    """
    asked = complete(settings or EvaluationSettings())
    check_measures(asked)
    run = Run(pretrained, replace(material, log=ReadingLog(pretrained.tokenizers)), asked)
    parts, seconds = [], {}
    with pretrained.tokenizers.remembering(REMEMBERED_BYTES):
        asked_for = [own for own in MEASURES if not sections or own.section in sections]
        for number, measure in enumerate(asked_for):
            if progress is not None:
                progress(measure.section, number, len(asked_for))
            began = time.monotonic()
            parts.append(_found(measure, run))
            seconds[measure.section] = time.monotonic() - began
    found = Findings.merged(parts)
    return Evaluation(
        asked,
        tuple(found.rows),
        tuple(point for point in found.points if isinstance(point, FlowPoint)),
        tuple(found.samples),
        dict(found.skipped),
        seconds,
        tuple(point for point in found.points if isinstance(point, HorizonPoint)),
        tuple(point for point in found.points if isinstance(point, StepPoint)),
        run.log.passed_over(),
    )


def _found(measure: Measure[Any], run: Run[Any]) -> Findings:
    """Returns a measure's findings, or the reason why there are none."""
    try:
        why = measure.applies(run)
        found = Findings(skipped={measure.section: why}) if why else measure.measure(run)
    except Exception as error:
        if not (where := origin(error)):
            raise  # a defect of this library, or data that nothing can be measured on
        return Findings(skipped={measure.section: f"{type(error).__name__}: {error}{where}"})
    if isinstance(found, Findings):
        return found
    why = f"its measure() gave a {type(found).__name__}; Findings are asked for"
    return Findings(skipped={measure.section: why})
