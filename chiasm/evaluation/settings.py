"""The registry of all measures, and the recipe's table of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pydantic import ValidationInfo, create_model
from pydantic_core import PydanticCustomError

from chiasm.evaluation.clips import ClipSettings
from chiasm.evaluation.crossings import CrossingSettings, PictureToSound, SoundToPicture
from chiasm.evaluation.drawings import Drawings, DrawingSettings
from chiasm.evaluation.films import ImaginedFilms
from chiasm.evaluation.flow import Flow, FlowLossSettings
from chiasm.evaluation.hearing import Hearing, HearingSettings
from chiasm.evaluation.instructed import InstructedWalks
from chiasm.evaluation.measure import Measures
from chiasm.evaluation.memory import Memory, MemorySettings
from chiasm.evaluation.next_sounds import NextSounds, NextSoundSettings
from chiasm.evaluation.next_views import NextViews, NextViewSettings
from chiasm.evaluation.plans import Plans, PlanSettings
from chiasm.evaluation.questions import Questions, QuestionSettings
from chiasm.evaluation.rollouts import ImaginedWalks, RolloutSettings
from chiasm.evaluation.shared import MeasureSettings
from chiasm.evaluation.sounds import SoundSettings, SpokenWords
from chiasm.evaluation.spoken import InstructedSettings
from chiasm.evaluation.steps import SolverSteps, SolverStepSettings
from chiasm.evaluation.text import BitsPerByte, TextSettings
from chiasm.evaluation.writing import Captions, Continuations, WritingSettings
from chiasm.registry import Registry, validated

MEASURES = Measures()
"""All measures in the order of the report; those of a recipe's ``imports`` follow."""
for _measure in (
    *(BitsPerByte, Drawings, SpokenWords, Questions, Captions),
    *(Hearing, PictureToSound, SoundToPicture, NextViews, SolverSteps, NextSounds),
    *(ImaginedWalks, Memory, ImaginedFilms, InstructedWalks, Plans, Flow, Continuations),
):
    MEASURES.register(_measure)


class EvaluationSettings(  # pydantic lists the last class's settings first
    WritingSettings,
    PlanSettings,
    InstructedSettings,
    ClipSettings,
    MemorySettings,
    RolloutSettings,
    NextSoundSettings,
    SolverStepSettings,
    NextViewSettings,
    CrossingSettings,
    HearingSettings,
    QuestionSettings,
    SoundSettings,
    DrawingSettings,
    FlowLossSettings,
    TextSettings,
):
    """Sizes of the held-out evaluation; the defaults take about two minutes on two cores."""


def complete(settings: EvaluationSettings) -> EvaluationSettings:
    """Returns settings that include those of measures registered since, at their defaults."""
    own = _all_settings()
    return settings if type(settings) is own else own.model_validate(settings.model_dump())


def check_measures(settings: EvaluationSettings) -> None:
    """Checks what would end an evaluation late.

    Raises:
        UserError: a file that a measure needs is not there.
    """
    asked = complete(settings)
    for measure in MEASURES:
        measure.check(asked)


def _all_settings() -> type[EvaluationSettings]:
    own = dict.fromkeys(each.settings for each in MEASURES)
    known = {base for each in own for base in each.__mro__[1:]} | {*EvaluationSettings.__mro__}
    return _with(tuple(each for each in own if each not in known))


@cache
def _with(further: tuple[type[MeasureSettings], ...]) -> type[EvaluationSettings]:
    if not further:
        return EvaluationSettings
    bases: tuple[Any, ...] = *further, EvaluationSettings
    made: Any = create_model("EvaluationSettings", __base__=bases)
    return cast(type[EvaluationSettings], made)


class _Table(Registry[EvaluationSettings]):
    """A recipe's table ``evaluation``, with the settings of all registered measures."""

    def class_of(self, table: Any) -> type[EvaluationSettings]:
        """Returns the class of the table."""
        return _all_settings()

    def _validate(self, value: Any, info: ValidationInfo) -> EvaluationSettings:
        if isinstance(value, EvaluationSettings):
            return complete(value)
        if not isinstance(value, Mapping):
            raise PydanticCustomError("table", "Input should be a table of settings")
        return validated(_all_settings(), value, info)


TABLE = _Table("measure")
