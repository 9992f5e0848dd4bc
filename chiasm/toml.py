"""Settings read from TOML, strictly, and written as TOML.

An unknown name, a wrong type or a value out of bounds is an error that names the setting as it is
written in the file, and what would be right.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chiasm.earlier import ELSEWHERE, built_in, name_now, value_now
from chiasm.errors import SettingsError, UserError, found_at, joined, setting
from chiasm.registry import Registry
from chiasm.settings import Settings
from chiasm.shipped import shipped_recipes

AnySettings = TypeVar("AnySettings", bound=Settings)

MOST_MEANT = 3
"""Settings of one name that a message lists for an unknown one."""


def load_settings(kind: type[AnySettings], path: Path, overrides: Sequence[str]) -> AnySettings:
    """Read settings other than a recipe from TOML, with overrides, as strictly as a recipe.

    Raises:
        UserError: unreadable file, unknown setting or wrong value.
    """
    return parse_settings(kind, load_toml(path, overrides))


def load_toml(path: Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> dict[str, Any]:
    """A TOML file as nested dictionaries, with overrides applied.

    Raises:
        UserError: it is missing, unreadable, or not TOML, or as :func:`apply_override`.
    """
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        hint = f"chiasm recipes copy {path.stem} writes the package's own of that name"
        known = path.stem in {Path(name).name for name in shipped_recipes()}
        raise UserError(f"recipe {path} does not exist{'; ' + hint if known else ''}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {error}") from error
    if isinstance(overrides, Mapping):
        for name, value in overrides.items():
            assign(content, name, value)
        return content
    for override in overrides:
        apply_override(content, override)
    return content


def parse_settings(kind: type[AnySettings], content: Mapping[str, Any]) -> AnySettings:
    """Validate settings given as nested dictionaries.

    Raises:
        UserError: unknown setting or wrong value.
    """
    try:
        # JSON is how pydantic reads lists as tuples and strings as paths and yet keeps types strict
        return kind.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        found = [_explain(kind, content, item) for item in error.errors()]
        raise joined(found) from error


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
            raise UserError(f": {part} is a value, not a group of settings", setting=name)
    table[last] = value


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set what ``dotted.name=value`` says; the value is TOML, or else a bare string.

    Raises:
        UserError: it is no such text, or names no setting.
    """
    name, equals, text = override.partition("=")
    if not equals or not all(part.strip() for part in name.split(".")):
        raise UserError(f"--set {override}: write it as name=value, such as model.width=256")
    with found_at(f"--set {override}"):
        assign(content, name, _value(text.strip()))


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(kind: type[BaseModel], content: Mapping[str, Any], item: Any) -> UserError:
    known = list(_setting_names(kind, content, item["loc"]))
    name = _name(known, item["loc"])
    if item["type"] == "extra_forbidden":
        if what := built_in(name):
            why = f"{setting(name)} is built in now: {what}"
            return UserError(why, setting=name, remedy="leave it out")
        now = name_now(name)
        hint = f"it is called {now} now" if now else _meant(name, known)
        return UserError(f"unknown setting {setting(name)}", setting=name, remedy=hint)
    if item["type"] == "missing":
        return UserError("is missing", setting=name, remedy="set it")
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        told = cause.under(name) if name else cause
        return _new_or_mistyped(told, content)
    wanted = f": {cause or item['msg'].removeprefix('Input ')}"
    if isinstance(item["input"], Mapping):
        return UserError(wanted, setting=name)
    if now := value_now(name, item["input"]):
        why = "is a name of before"
        return UserError(why, setting=name, value=item["input"], remedy=f"write {now}")
    remedy = "write true or false" if item["type"].startswith("bool") else ""
    return UserError(wanted, setting=name, value=item["input"], remedy=remedy)


def _new_or_mistyped(error: UserError, content: Any) -> UserError:
    """Returns an error unchanged, or one about a missing kind with the names beside its table."""
    table, _, last = error.setting.rpartition(".")
    group, _, own = table.rpartition(".")
    if last != "kind" or error.why != "is missing":
        return error
    for part in group.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    if isinstance(content, Mapping) and (others := [each for each in content if each != own]):
        error.why += f": there is no {own} in {group}, which has {', '.join(others)}"
    return error


def _meant(name: str, known: Sequence[str]) -> str:
    """Returns what an unknown name may stand for: a setting's, or those of its table."""
    group, _, last = name.rpartition(".")
    others = [each for each in known if not name.startswith(f"{each}.")]  # its own tables
    root = f"{name.partition('.')[0]}."
    near = [each for each in others if each.startswith(root)] or others
    wanted = ELSEWHERE.get(last)
    same = [each for each in near if _last(each) == (wanted or last)]
    if same := [each for each in same if each == f"{group}.{_last(each)}"] or same:
        same.sort(key=lambda each: each.count("."))
        return f"there is {' and '.join(same[:MOST_MEANT])}"
    beside = [each for each in known if each.rpartition(".")[0] == group]
    for candidates in (beside, near) if wanted is None else ():
        of_last = {_last(each): each for each in reversed(candidates)}
        if close := difflib.get_close_matches(last, of_last, n=1, cutoff=0.75):
            return f"the nearest is {of_last[close[0]]}"
    return f"{group or 'this table'} has {', '.join(map(_last, beside))}" if beside else ""


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _name(known: Sequence[str], location: Sequence[Any]) -> str:
    """The setting at a location; pydantic puts the kind of a table that has kinds between."""
    parts = [str(part) for part in location]
    for number in range(1, len(parts) - 1):
        without = ".".join(parts[:number] + parts[number + 1 :])
        if ".".join(parts) not in known and without in known:
            return without
    return ".".join(parts)


def _setting_names(
    model: type[BaseModel], content: Any, location: Sequence[Any], prefix: str = ""
) -> Iterator[str]:
    """All dotted names of settings; ``content`` says the kinds of tables that have kinds, and a
    free key, such as a source's name, is that of ``location``."""
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        yield dotted
        depth = dotted.count(".") + 1
        table = content.get(name) if isinstance(content, Mapping) else None
        if typing.get_origin(field.annotation) is dict:
            if len(location) <= depth or ".".join(map(str, location[:depth])) != dotted:
                continue
            key = location[depth]
            dotted = f"{dotted}.{key}"
            table = table.get(key) if isinstance(table, Mapping) else None
        for inner in _models(field.annotation, field.metadata, table):
            yield from _setting_names(inner, table, location, f"{dotted}.")


def _models(annotation: Any, metadata: Iterable[Any], table: Any) -> Iterator[type[BaseModel]]:
    """The settings classes that a table may be of; of registered ones, the one that it names."""
    registries = [each for each in metadata if isinstance(each, Registry)]
    if registries:
        named = registries[0].class_of(table)
        yield from [named] if named else []
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) is typing.Annotated:
        yield from _models(annotation.__origin__, annotation.__metadata__, table)
    else:
        for argument in typing.get_args(annotation):
            yield from _models(argument, (), table)


def as_toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """TOML of nested dictionaries: a table's plain values first, then its tables."""
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {_literal(value)}" for name, value in plain.items()]
    text = "\n".join(lines) + "\n" if lines else ""
    for name, value in table.items():
        if isinstance(value, Mapping):
            dotted = f"{prefix}{_key(name)}"
            holds_values = any(not isinstance(inner, Mapping) for inner in value.values())
            text += f"\n[{dotted}]\n" if holds_values or not value else ""
            text += as_toml(value, f"{dotted}.")
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
