"""The whole evaluation: every measure that the data allows, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from chiasm.capabilities import ActionVideos, Instructed
from chiasm.data.reading import ReadingLog
from chiasm.errors import UserError
from chiasm.evaluation import (
    drawings,
    flow,
    instructed,
    next_views,
    plans,
    questions,
    rollouts,
    text,
)
from chiasm.evaluation.evaluation import (
    Evaluation,
    Findings,
    FlowPoint,
    HorizonPoint,
    Sample,
)
from chiasm.evaluation.material import Material, NothingToMeasure
from chiasm.evaluation.pictures import open_judge
from chiasm.evaluation.rows import Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.evaluation.writing import sample_writing
from chiasm.inference.pretrained import Pretrained

Progress = Callable[[str, int, int], None]
"""Called before each section with its name, its number from 0, and how many there are."""

NO_DECODER = "there is no decoder of pictures, so none can be drawn"
NO_TRUTH = (
    "no source knows what its pictures show; one that does is stream.sources.NAME.kind = 'world' "
    "with task = 'image_text'"
)
NO_WALKS = (
    "no source has walks with actions and poses; those that do are stream.sources.NAME.kind = "
    "'trajectories' or 'world' with task = 'action_video'"
)
NO_INSTRUCTIONS = (
    "no source has walks after instructions; one that does is stream.sources.NAME.kind = 'world' "
    "with task = 'instructions'; or set evaluation.instructions = 0"
)


def evaluate(
    pretrained: Pretrained,
    material: Material,
    settings: EvaluationSettings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on held-out data, beside its baselines.

    What the sources do not allow is skipped, with the reason in ``Evaluation.skipped``. The result
    is a function of the model, the data and the settings.
    """
    return _Run(pretrained, material, settings or EvaluationSettings(), progress).all()


class _Run:
    """The sections of one evaluation and what they have found so far."""

    def __init__(
        self,
        pretrained: Pretrained,
        material: Material,
        settings: EvaluationSettings,
        progress: Progress | None,
    ) -> None:
        self._log = ReadingLog()
        self._material = replace(material, log=self._log)
        self._pretrained, self._settings = pretrained, settings
        self._progress = progress
        self._rows: list[Row] = []
        self._points: list[FlowPoint] = []
        self._horizon_points: list[HorizonPoint] = []
        self._samples: list[Sample] = []
        self._skipped: dict[str, str] = {}
        self._judge = open_judge(settings)  # before anything is measured: it may not be there

    def all(self) -> Evaluation:
        """Every section in the order of the report."""
        sections: dict[str, Callable[[], None]] = {
            text.SECTION: self._text,
            drawings.SECTION: self._drawings,
            questions.SECTION: self._questions,
            next_views.SECTION: self._next_views,
            rollouts.SECTION: self._rollouts,
            instructed.SECTION: self._instructions,
            plans.SECTION: self._plans,
            flow.SECTION: self._flow,
            "writing": self._writing,
        }
        seconds = {}
        for number, (name, section) in enumerate(sections.items()):
            if self._progress is not None:
                self._progress(name, number, len(sections))
            began = time.monotonic()
            section()
            seconds[name] = time.monotonic() - began
        return Evaluation(
            self._settings,
            tuple(self._rows),
            tuple(self._points),
            tuple(self._samples),
            self._skipped,
            seconds,
            tuple(self._horizon_points),
            self._log.passed_over(),
        )

    def _text(self) -> None:
        before = len(self._rows)
        self._add(text.measure_text(*self._given()))
        if len(self._rows) == before:
            self._skipped.setdefault(text.SECTION, "no source has text that can be measured")

    def _drawings(self) -> None:
        if not self._pretrained.draws:
            self._skipped[drawings.SECTION] = NO_DECODER
            return
        sources = self._material.described()
        if sources is not None:
            pretrained, settings = self._pretrained, self._settings
            self._add(drawings.measure_drawings(pretrained, sources, settings, self._judge))
            return
        self._skipped[drawings.SECTION] = NO_TRUTH
        for source in self._material.held_out.values():
            self._samples += drawings.sample_drawings(
                self._pretrained, source, self._settings, self._log
            )

    def _questions(self) -> None:
        held_out = self._material.held_out
        sources = {name: source for name, source in held_out.items() if questions.asks(source)}
        if not sources:
            self._skipped[questions.SECTION] = "no source asks questions about pictures"
        for name, of in _named(sources):
            self._add(
                questions.measure_questions(
                    self._pretrained, name, self._material, self._settings, of
                )
            )

    def _next_views(self) -> None:
        self._on_walks(next_views.SECTION, self._next_views_of)

    def _next_views_of(self, name: str, source: ActionVideos, of: str) -> Findings:
        return next_views.measure_next_views(
            self._pretrained, source, self._settings, of, self._log
        )

    def _rollouts(self) -> None:
        if self._settings.rollouts:
            self._on_walks(rollouts.SECTION, self._rollouts_of)
        else:
            self._skipped[rollouts.SECTION] = "evaluation.rollouts = 0"

    def _rollouts_of(self, name: str, source: ActionVideos, of: str) -> Findings:
        train = self._material.training_walks(name)
        return rollouts.measure_rollouts(
            self._pretrained, train, source, self._settings, of, self._log
        )

    def _plans(self) -> None:
        if self._settings.plans:
            self._on_walks(plans.SECTION, self._plans_of)

    def _plans_of(self, name: str, source: ActionVideos, of: str) -> Findings:
        train = self._material.training_walks(name)
        return plans.measure_plans(self._pretrained, train, source, self._settings, of, self._log)

    def _instructions(self) -> None:
        sources = self._material.instructions()
        if sources and not self._settings.instructions:
            self._skipped[instructed.SECTION] = "evaluation.instructions = 0"
        elif sources and not self._pretrained.draws:
            self._skipped[instructed.SECTION] = NO_DECODER
        elif not sources and self._settings.instructions:
            self._skipped[instructed.SECTION] = NO_INSTRUCTIONS
        else:
            for name, of in _named(sources):
                self._instructions_of(sources[name], of)

    def _instructions_of(self, source: Instructed, of: str) -> None:
        try:
            self._add(instructed.measure_instructions(self._pretrained, source, self._settings, of))
        except UserError as error:  # another walk's sentence may be too long for the context
            self._skipped[f"{instructed.SECTION}{of}"] = str(error)

    def _on_walks(
        self, section: str, measure: Callable[[str, ActionVideos, str], Findings]
    ) -> None:
        """Measure every source of walks."""
        if not self._pretrained.draws:
            self._skipped[section] = NO_DECODER
            return
        sources = self._material.action_videos()
        if not sources:
            self._skipped[section] = NO_WALKS
        for name, of in _named(sources):
            try:
                self._add(measure(name, sources[name], of))
            except NothingToMeasure as error:
                self._skipped[f"{section}{of}"] = str(error)

    def _flow(self) -> None:
        rows, self._points = flow.measure_flow(*self._given())
        self._rows += rows
        if not rows:
            self._skipped[flow.SECTION] = "no source has pictures to draw"

    def _writing(self) -> None:
        self._samples += sample_writing(*self._given())

    def _given(self) -> tuple[Pretrained, Material, EvaluationSettings]:
        return self._pretrained, self._material, self._settings

    def _add(self, found: Findings) -> None:
        self._rows += found.rows
        self._samples += found.samples
        self._horizon_points += found.points
        self._skipped |= found.skipped


def _named(sources: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each source's name, and what follows the names of its rows: its name, of several."""
    return [(name, f", {name}" if len(sources) > 1 else "") for name in sources]
