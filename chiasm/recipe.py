"""A recipe: every setting of a run in one frozen, typed object.

Each component defines its settings beside its code; here they are composed. A recipe is read from
TOML and from overrides of the form ``model.width=256``, strictly: an unknown name, a wrong type or
a value out of bounds is an error that names the setting and what would be right. What follows
from several settings together is checked by :func:`check` before anything expensive begins. The
resolved recipe, every default written out, is kept beside the run.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from chiasm.actions import ActionFormat
from chiasm.data import StreamSettings, TokenizerSettings
from chiasm.data.batch import AnyShape
from chiasm.data.navigation import TASKS as TRAJECTORY_TASKS
from chiasm.data.packing import refuse_short_rows
from chiasm.errors import UserError
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.model import ModelSettings
from chiasm.settings import Settings
from chiasm.training import ObjectiveSettings, TrainingSettings
from chiasm.vision.build import VisionSettings
from chiasm.vision.learning.from_settings import VisionTrainingSettings
from chiasm.worlds import TASKS, WorldSettings
from chiasm.worlds.instructions import INSTRUCTIONS, InstructionSettings

AnySettings = TypeVar("AnySettings", bound=Settings)

_TASKS = {"world": (*TASKS, INSTRUCTIONS), "trajectories": TRAJECTORY_TASKS}


class Recipe(Settings):
    """Every setting of a run; see each component's settings for what its names mean."""

    name: str = Field(min_length=1)
    """Names the run in its report."""
    seed: int = Field(0, ge=0)
    """Keys the first weights, the order of the data, noise and flow times."""
    world: WorldSettings = WorldSettings()
    """The embedded world, for sources of kind ``world``."""
    instructions: InstructionSettings = InstructionSettings()
    """Its instructed walks, for sources of its task ``instructions``."""
    actions: ActionFormat = ActionFormat()
    """How steps are written in words, whichever source they come from."""
    vision: VisionSettings = VisionSettings()
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
        _apply(content, override)
    return parse_recipe(content)


def load_toml(path: Path) -> dict[str, Any]:
    """A TOML file as nested dictionaries.

    Raises:
        UserError: it is missing, unreadable, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"recipe {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {error}") from error


def parse_recipe(content: Mapping[str, Any]) -> Recipe:
    """Validate and check a recipe given as nested dictionaries.

    Raises:
        UserError: unknown setting, wrong value, or settings that contradict each other.
    """
    recipe = parse_settings(Recipe, content)
    check(recipe)
    return recipe


def load_settings(kind: type[AnySettings], path: Path, overrides: Sequence[str]) -> AnySettings:
    """Read settings other than a recipe from TOML, with overrides, as strictly as a recipe.

    Raises:
        UserError: unreadable file, unknown setting or wrong value.
    """
    content = load_toml(path)
    for override in overrides:
        _apply(content, override)
    return parse_settings(kind, content)


def parse_settings(kind: type[AnySettings], content: Mapping[str, Any]) -> AnySettings:
    """Validate settings given as nested dictionaries.

    Raises:
        UserError: unknown setting or wrong value.
    """
    try:
        # JSON is how pydantic reads lists as tuples and strings as paths and yet keeps types strict
        return kind.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise UserError("\n".join(_explain(kind, item) for item in error.errors())) from error


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as TOML that :func:`load_recipe` reads back to an equal one."""
    path.write_text(_toml(resolved(recipe)))


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
        tasks = _TASKS.get(source.kind)
        if tasks is not None and source.task not in tasks:
            problems.append(
                f"stream.sources.{name}.task = {source.task!r} is no task of kind "
                f"{source.kind!r}; choose one of {', '.join(tasks)}"
            )
        if source.kind != "world" and not source.path:
            problems.append(f"stream.sources.{name}.path is missing: name the folder to read")
    if problems:
        raise UserError("\n".join(problems))


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


def assign(content: dict[str, Any], name: str, value: Any) -> None:
    """Set one setting, by its dotted name, in a recipe given as nested dictionaries.

    Raises:
        UserError: a part of the name is a value and no group of settings.
    """
    *groups, last = (part.strip() for part in name.split("."))
    table = content
    for part in groups:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UserError(f"{name}: {part} is a value, not a group of settings")
    table[last] = value


def _apply(content: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not all(part.strip() for part in name.split(".")):
        raise UserError(f"--set {override}: write it as name=value, such as model.width=256")
    try:
        assign(content, name, _value(text.strip()))
    except UserError as error:
        raise UserError(f"--set {override}: {error}") from error


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(kind: type[BaseModel], item: Any) -> str:
    name = _name(kind, item["loc"])
    if item["type"] == "extra_forbidden":
        known = [known for known, _ in _setting_names(kind, item["loc"])]
        last = {candidate.rpartition(".")[2]: candidate for candidate in reversed(known)}
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75) or [
            last[match]
            for match in difflib.get_close_matches(name.rpartition(".")[2], last, n=1, cutoff=0.6)
        ]
        hint = f"; the nearest is {near[0]}" if near else ""
        return f"unknown setting {name}{hint}"
    if item["type"] == "missing":
        return f"setting {name} is missing: {item['msg'].lower()}"
    wanted = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(item["input"], Mapping):
        return f"{name}: {wanted}"
    return f"setting {name} = {item['input']!r}: {wanted}"


def _name(kind: type[BaseModel], location: Sequence[Any]) -> str:
    """The setting at a location; pydantic puts the kind of a table that has kinds between."""
    parts = [str(part) for part in location]
    known = {name for name, _ in _setting_names(kind, location)}
    for number in range(1, len(parts) - 1):
        without = ".".join(parts[:number] + parts[number + 1 :])
        if ".".join(parts) not in known and without in known:
            return without
    return ".".join(parts)


def _setting_names(
    model: type[BaseModel], location: Sequence[Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """All dotted names of settings; a free key, such as a source's name, is ``location``'s own."""
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        yield dotted, field.annotation
        depth = dotted.count(".") + 1
        for inner in _models(field.annotation):
            if typing.get_origin(field.annotation) is dict:
                if len(location) > depth and ".".join(map(str, location[:depth])) == dotted:
                    yield from _setting_names(inner, location, f"{dotted}.{location[depth]}.")
            else:
                yield from _setting_names(inner, location, f"{dotted}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """TOML of nested dictionaries: a table's plain values first, then its tables."""
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {_literal(value)}" for name, value in plain.items()]
    text = "\n".join(lines) + "\n" if lines else ""
    for name, value in table.items():
        if isinstance(value, Mapping):
            dotted = f"{prefix}{_key(name)}"
            holds_values = any(not isinstance(inner, Mapping) for inner in value.values())
            text += f"\n[{dotted}]\n" if holds_values or not value else ""
            text += _toml(value, f"{dotted}.")
    return text


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else _literal(name)


def _literal(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, str):  # JSON's escapes are TOML's, save for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
