"""A recipe: every setting of a run in one frozen, typed object.

Each component defines its settings beside its code; here they are composed. A recipe is read from
TOML and from overrides of the form ``model.width=256`` (:mod:`chiasm.toml`). What follows from
several settings together is checked by :func:`check` before anything expensive begins. The
resolved recipe, every default written out, is kept beside the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from chiasm.actions import ActionFormat
from chiasm.batch.packed import AnyShape
from chiasm.data.packing import refuse_short_rows
from chiasm.data.source import leaks
from chiasm.data.stream import StreamSettings
from chiasm.data.tokenizer import TokenizerSettings
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.imports import import_all
from chiasm.model import ModelSettings
from chiasm.providers import ProviderTables
from chiasm.toml import apply_override, as_toml, load_toml, parse_settings
from chiasm.training import ObjectiveSettings, TrainingSettings
from chiasm.vision.build import VisionSettings
from chiasm.vision.learning.from_settings import VisionTrainingSettings


class Recipe(ProviderTables):
    """Every setting of a run; see each component's settings for what its names mean."""

    name: str = Field(min_length=1)
    """Names the run in its report."""
    imports: tuple[str, ...] = ()
    """Modules, by dotted names or as files that end in .py, that are imported before anything is
    read here: they register kinds of sources, tokenizers and attention."""
    seed: int = Field(0, ge=0)
    """Keys the first weights, the order of the data, noise and flow times."""
    actions: ActionFormat = ActionFormat()
    """How steps are written in words, whichever source they come from."""
    streams: dict[str, VisionSettings] = {"image": VisionSettings()}
    """Tokenizers of continuous data by the names of their streams."""
    tokenizer: TokenizerSettings = TokenizerSettings()
    stream: StreamSettings
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    vision_training: VisionTrainingSettings | None = None
    """A recipe of ``chiasm vision train``: it makes the tokenizer (of a pair, that of targets)
    before the run, unless the cache has it already."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe, apply overrides, validate and check it.

    Args:
        path: a TOML file.
        overrides: ``dotted.name=value``; the value is TOML, or else a bare string.

    Raises:
        UserError: unreadable file, unknown setting, wrong value, or settings that contradict.
    """
    content = load_toml(path)
    for override in overrides:
        apply_override(content, override)
    return parse_recipe(content, path.parent)


def parse_recipe(content: Mapping[str, Any], folder: Path = Path()) -> Recipe:
    """Validate and check a recipe given as nested dictionaries.

    Args:
        content: its tables.
        folder: where the files of its ``imports`` are looked for first.

    Raises:
        UserError: a module that cannot be imported, unknown setting, wrong value, or settings that
            contradict each other.
    """
    names = content.get("imports", ())
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        content = {**content, **({"imports": import_all(names, folder)} if names else {})}
    recipe = parse_settings(Recipe, content)
    check(recipe)
    return recipe


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as TOML that :func:`load_recipe` reads back to an equal one."""
    path.write_text(as_toml(resolved(recipe)))


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as nested dictionaries of plain values; unset settings are left out."""
    return recipe.model_dump(mode="json", exclude_none=True)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """One line per setting in which two resolved recipes differ."""
    flat_there, flat_here = dict(_leaves(there)), dict(_leaves(here))
    names = [*flat_here, *(name for name in flat_there if name not in flat_here)]
    return [
        f"{name} = {flat_there.get(name, 'unset')} there, {flat_here.get(name, 'unset')} here"
        for name in names
        if flat_there.get(name) != flat_here.get(name)
    ]


def check(recipe: Recipe) -> None:
    """What no single setting can know.

    Raises:
        UserError: settings that contradict each other, all of them in one message.
    """
    stream, training = recipe.stream, recipe.training
    problems = []
    if not stream.sources:
        problems.append("stream.sources is empty: name at least one source to read")
    if training.schedule.warmup_steps >= training.steps:
        problems.append(
            f"training.schedule.warmup_steps = {training.schedule.warmup_steps} leaves nothing of "
            f"training.steps = {training.steps}; warm up for fewer steps or train for more"
        )
    for flow_time in training.validation_flow_times:
        if not 0 <= flow_time < 1:
            problems.append(
                f"training.validation_flow_times has {flow_time}; give times from 0 (noise) to "
                "below 1 (data)"
            )
    for name, source in stream.sources.items():
        try:
            with settings_of(f"stream.sources.{name}"):
                source.check()
        except UserError as error:
            problems.append(str(error))
    problems += leaks(stream.sources, stream.sources, "stream.sources")
    problems += _routing_without_router(recipe)
    if problems:
        raise UserError("\n".join(problems))


def _routing_without_router(recipe: Recipe) -> list[str]:
    """What only a mixture of experts reads, where there is none."""
    if recipe.model.experts == "moe":
        return []
    asked = {
        "training.balance_rate": recipe.training.balance_rate > 0,
        "objective.router_z_weight": recipe.objective.router_z_weight > 0,
        "objective.balance_weight": recipe.objective.balance_weight
        != ObjectiveSettings().balance_weight,
    }
    return [
        f"{name} is for routers, and model.experts = {recipe.model.experts!r} has none; set "
        "model.experts = 'moe', or leave it out"
        for name, is_asked in asked.items()
        if is_asked
    ]


def check_images(recipe: Recipe, image_shape: AnyShape) -> None:
    """What the vision tokenizer's grid asks of the other settings.

    Raises:
        UserError: a row shorter than an image, or a grid larger than the model's tables.
    """
    refuse_short_rows(recipe.stream.row_positions, image_shape)
    limit = recipe.model.image_grid_limit
    for target in (True, False):
        shape = image_shape.of(target)
        if max(shape.rows, shape.columns) > limit:
            raise UserError(
                f"model.image_grid_limit = {limit} is below the vision tokenizer's grid of "
                f"{shape.rows} x {shape.columns} latent tokens; raise it"
            )


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
