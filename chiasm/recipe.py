"""A recipe: every setting of a run in one frozen, typed object.

Each component defines its settings beside its code, in a file that does not import torch, so that
mistakes are reported at once; the code itself is imported when it runs. Here they are composed. A
recipe is read from TOML and from overrides of the form ``model.width=256`` (:mod:`chiasm.toml`).
Conditions on several settings together are checked by :func:`check` before anything expensive
begins. The resolved recipe, with every default, is kept in the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

import chiasm.sound.kinds  # noqa: F401  (registers them)
from chiasm.actions import ActionFormat
from chiasm.batch.streams import IMAGE
from chiasm.data.settings import StreamSettings, TextTokenizerSettings
from chiasm.data.source import SourceSettings, leaks
from chiasm.errors import SettingsError, UserError, joined, setting, settings_of
from chiasm.evaluation.settings import TABLE, EvaluationSettings
from chiasm.imports import import_all
from chiasm.model.settings import ModelSettings
from chiasm.providers import ProviderTables
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.toml import as_toml, load_toml, parse_settings
from chiasm.training.settings import (
    InitializeSettings,
    InnerObjective,
    ObjectiveSettings,
    TrainingSettings,
)
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.learning.settings import VisionTrainingSettings
from chiasm.whole import write_whole


class Recipe(ProviderTables):
    """Every setting of a run; see each component's settings for what its names mean."""

    name: str = Field(min_length=1)
    """Names the run in its report."""
    imports: tuple[str, ...] = ()
    """Modules, by dotted names or as files that end in .py, that are imported before anything is
    read here: they register kinds of sources, tokenizers, attention and optimizers, and
    measures."""
    seed: int = Field(0, ge=0)
    """Keys the first weights, the order of the data, noise and flow times."""
    actions: ActionFormat = ActionFormat()
    """How steps are written in words, whichever source they come from."""
    streams: dict[str, Annotated[TokenizerSettings, TOKENIZERS]] = Field({"image": RaeSettings()})
    """Tokenizers of continuous data by the names of their streams; each but ``image`` names its
    kind."""
    tokenizer: TextTokenizerSettings = TextTokenizerSettings()
    stream: StreamSettings
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    initialize: InitializeSettings = InitializeSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: Annotated[EvaluationSettings, TABLE] = EvaluationSettings()
    vision_training: VisionTrainingSettings | None = None
    """A recipe of ``chiasm vision train``: it makes the tokenizer of pictures
    before the run, unless the cache has it already."""

    @field_validator("streams", mode="before")
    @classmethod
    def _check_kinds(cls, streams: Any) -> Any:
        """Refuses streams other than ``image`` that name no kind: only pictures have a default."""
        for name, table in streams.items() if isinstance(streams, Mapping) else ():
            if name != IMAGE and isinstance(table, Mapping) and "kind" not in table:
                why = f"is missing: {setting(name)} names no tokenizer"
                remedy = f"set kind to one of {', '.join(TOKENIZERS.kinds)}"
                raise SettingsError(why, setting=f"{name}.kind", remedy=remedy)
        return streams


def load_recipe(path: Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Returns a TOML recipe with overrides applied, validated and checked.

    Args:
        path: a TOML file.
        overrides: values by dotted names; or texts ``dotted.name=value``, where the value is TOML,
            or else a bare string.

    Raises:
        UserError: unreadable file, unknown setting, wrong value, or contradicting settings.
    """
    return parse_recipe(load_toml(path, overrides), path.parent)


def parse_recipe(content: Mapping[str, Any], folder: Path = Path()) -> Recipe:
    """Returns a recipe given as nested dictionaries, validated and checked.

    Args:
        content: tables of the recipe.
        folder: folder in which files of its ``imports`` are looked for first.

    Raises:
        UserError: a module that cannot be imported, unknown setting, wrong value, or contradicting
            settings.
    """
    names = content.get("imports", ())
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        content = {**content, **({"imports": import_all(names, folder)} if names else {})}
    recipe = parse_settings(Recipe, content)
    check(recipe)
    return recipe


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes the resolved recipe as TOML, which :func:`load_recipe` reads as an equal one."""
    write_whole(path, as_toml(resolved(recipe)))


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Returns the recipe as nested dictionaries of plain values, without unset settings."""
    return recipe.model_dump(mode="json", exclude_none=True)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Returns one line per setting in which two resolved recipes differ."""
    flat_there, flat_here = dict(leaves(there)), dict(leaves(here))
    names = [*flat_here, *(name for name in flat_there if name not in flat_here)]
    return [
        f"{name} = {flat_there.get(name, 'unset')} there, {flat_here.get(name, 'unset')} here"
        for name in names
        if flat_there.get(name) != flat_here.get(name)
    ]


def check(recipe: Recipe) -> None:
    """Checks conditions on several settings together.

    Raises:
        UserError: settings that contradict each other, all of them in one message.
    """
    if errors := list(_errors(recipe)):
        raise joined(errors)


def _errors(recipe: Recipe) -> Iterator[UserError]:
    sources, training = recipe.stream.sources, recipe.training
    if not sources:
        yield recipe.error("stream.sources", "is empty", "name at least one source to read")
    if training.schedule.warmup_steps >= training.steps:
        why = f"leaves nothing of {recipe.assigned('training.steps')}"
        told = f"--set training.schedule.warmup_steps={training.steps // 10}"
        remedy = f"set it too, as with {told}, or train for more steps"
        yield recipe.error("training.schedule.warmup_steps", why, remedy)
    for name, source in sources.items():
        yield from _source_errors(name, source)
    yield from (error.under("stream.sources") for error in leaks(sources, sources))
    yield from _routing_without_router(recipe)
    yield from _misfits_of_the_middle(recipe)
    yield from _shortcuts_of_noise(recipe)
    yield from _adapters_of_nothing(recipe)


def _source_errors(name: str, source: SourceSettings) -> Iterator[UserError]:
    try:
        with settings_of(f"stream.sources.{name}"):
            source.check()
    except UserError as error:
        yield error


def _routing_without_router(recipe: Recipe) -> Iterator[UserError]:
    """Yields errors for settings of routers in a model without any."""
    if recipe.model.experts == "moe":
        return
    asked = {
        "training.router_bias_rate": recipe.training.router_bias_rate > 0,
        "objective.router_z_weight": recipe.objective.router_z_weight > 0,
        "objective.load_balance_weight": recipe.objective.load_balance_weight
        != ObjectiveSettings().load_balance_weight,
    }
    why = f"is for routers, and {recipe.assigned('model.experts')} has none"
    for name, is_asked in asked.items():
        if is_asked:
            yield recipe.error(name, why, "set model.experts = 'moe', or leave it out")


def _misfits_of_the_middle(recipe: Recipe) -> Iterator[UserError]:
    """Yields errors for a head in the middle that lacks its target, and for what asks for one."""
    inner, evaluation = recipe.model.inner, recipe.evaluation
    if inner is None and recipe.objective.inner != InnerObjective():
        why = "is for a head in the middle, and the model has none"
        yield recipe.error("objective.inner", why, "set model.inner.block, or leave it out")
    if inner is not None and inner.target == "average" and recipe.training.ema_decay is None:
        why = "is the moving average of the weights, and the run keeps none"
        yield recipe.error("model.inner.target", why, "set training.ema_decay, such as to 0.99")
    if inner is not None and inner.target == "latents":
        return
    for name in ("inner_guidance", "next_view_inner_guidance"):
        if getattr(evaluation, name) > 1:
            why = "is by a head in the middle that predicts latents, and the model has none"
            yield recipe.error(f"evaluation.{name}", why, "set model.inner.block, or leave it out")


def _shortcuts_of_noise(recipe: Recipe) -> Iterator[UserError]:
    """Yields errors for predictions that say nothing of the step that begins at noise."""
    if recipe.model.shortcut_steps is None:
        return
    streams = recipe.objective.streams.items()
    predicted = {f"objective.streams.{name}.prediction": own.prediction for name, own in streams}
    for name, own in {"objective.prediction": recipe.objective.prediction, **predicted}.items():
        if own == "epsilon":
            asks = f"as {recipe.assigned('model.shortcut_steps')} asks"
            why = f"does not say where a step from noise leads, {asks}"
            yield recipe.error(name, why, "predict 'preconditioned', 'x' or 'v'")


def _adapters_of_nothing(recipe: Recipe) -> Iterator[UserError]:
    """Yields errors for adapters without a trained model, or beside frozen parameters."""
    if recipe.training.lora is None:
        return
    if recipe.initialize.model is None:
        why = "adapts a trained model, and initialize.model is not set"
        yield recipe.error("training.lora", why, "name one, or leave it out")
    if recipe.training.frozen:
        why = "is for training without training.lora, which trains nothing but what it says"
        yield recipe.error("training.frozen", why, "leave it out")


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the plain values of nested tables by their dotted names."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
