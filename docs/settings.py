"""Writes docs/settings.md: every setting, from the classes that define them and their docstrings.

python docs/settings.py
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.fields import bounds, home, in_markdown, meaning
from chiasm.inference.request import SamplingSettings
from chiasm.recipe import Recipe
from chiasm.registry import Registry
from chiasm.settings import Settings
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.studies.settings import StudySettings
from chiasm.vision.learning.settings import VisionTrainingSettings

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

Every setting, by the table that it stands in. `make docs` writes this page from the classes that
define them; what they do together stands on the pages of their components. A default of none leaves
the setting out. NAME is yours to choose. A table that stands in several places is shown once.
"""

ROOTS: dict[type[Settings], str] = {
    Recipe: "A recipe, for [`chiasm train`](training.md)",
    VisionTrainingSettings: "A recipe for [`chiasm vision train`](vision-training.md)",
    SoundTrainingSettings: "A recipe for [`chiasm sound train`](sound.md#a-trained-decoder)",
    StudySettings: "A study, for [`chiasm study`](studies.md)",
    SamplingSettings: "Options of [`chiasm sample`](sampling.md)",
    AtlasSettings: "Options of [`chiasm experts`](experts.md)",
}

WORDS = {
    **{int: "integer", float: "number", str: "text", bool: "true or false"},
    **{Path: "path", Any: "any value"},
}

Row = tuple[str, str, str, str]
"""Name, default, values, meaning."""


@dataclass
class Table:
    """Settings that stand together, under one path or several."""

    paths: list[str]
    kind: str
    about: str
    rows: list[Row]


def page() -> str:
    """Returns the page as Markdown."""
    shown: list[Table] = []
    parts = [HEAD]
    for root, title in ROOTS.items():
        parts.append(f"## {title}\n")
        fresh = []
        for table in tables("", root):
            same = [each for each in shown if (each.kind, each.rows) == (table.kind, table.rows)]
            if same and table.rows:
                same[0].paths += table.paths
            elif table.rows:
                shown.append(table)
                fresh.append(table)
        parts += fresh
    return "\n".join(part if isinstance(part, str) else markdown(part) for part in parts)


def markdown(table: Table) -> str:
    """Returns the section of one table; its rows have the names of the first path."""
    places = " and ".join(
        f"`[[{path[:-2]}]]`" if path.endswith("[]") else f"`[{path}]`"
        for path in dict.fromkeys(table.paths)
        if path
    )
    kind = f", `kind = {json.dumps(table.kind)}`" if table.kind else ""
    heading = f"### {places}{kind}\n\n" if places else ""
    prefix = f"{table.paths[0]}.".replace("[]", "") if table.paths[0] else ""
    rows = "".join(f"| `{prefix}{name}` | {' | '.join(rest)} |\n" for name, *rest in table.rows)
    head = "| setting | default | values | meaning |\n|---|---|---|---|\n"
    return f"{heading}{table.about}\n\n{head}{rows}"


def tables(
    path: str, settings: type[Settings], default: Settings | None = None, but: str = ""
) -> Iterator[Table]:
    """Yields the table of these settings, ``but`` one, then those that it holds."""
    rows, inner = [], []
    hints = get_type_hints(settings, include_extras=True)
    for name, about in settings.model_fields.items():
        if name == but:
            continue
        own = about.get_default(call_default_factory=True)
        value = own if default is None else getattr(default, name)
        alone = isinstance(hints[name], type) or get_origin(hints[name]) is Annotated
        if not (alone and held(hints[name])):  # its table says it
            rows.append(row(settings, name, value))
        below = ".".join(part for part in (path, name) if part)
        below += {dict: ".NAME", tuple: "[]"}.get(get_origin(hints[name]), "")
        for each in held(hints[name]):
            if isinstance(each, Registry):
                inner += kinds(below, each, value)
            else:
                inner += tables(below, each, value if isinstance(value, Settings) else None)
    yield Table([path], "", first_sentence(settings), rows)
    yield from inner


def held(hint: Any) -> list[Any]:
    """Returns the settings and registries whose tables a value of this type is made of."""
    if get_origin(hint) is Annotated:
        base, *more = get_args(hint)
        return [each for each in more if isinstance(each, Registry) and each.kinds] or held(base)
    if isinstance(hint, type) and issubclass(hint, Settings):
        return [] if hint in ROOTS else [hint]
    return [each for part in get_args(hint) for each in held(part)]


def kinds(path: str, registry: Registry[Any], value: Any) -> Iterator[Table]:
    """Yields what all kinds have, then what each of them has besides."""
    classes = {kind: registry.of(kind) for kind in sorted(registry.kinds)}
    found = {
        kind: list(tables(path, each, but="kind"))
        for kind, each in classes.items()
        if home(each, "kind").__module__.startswith("chiasm.")  # and not of who imports this
    }
    rows = {kind: first.rows for kind, [first, *_] in found.items()}
    some = next(iter(rows.values()))
    owned = {name for kind in found for name in inspect.get_annotations(classes[kind])}
    common = [
        each
        for each in some
        if all(each in own for own in rows.values()) and not (len(rows) == 1 and each[0] in owned)
    ]
    default = f"`{json.dumps(value.kind)}`" if isinstance(value, Settings) else "required"
    named = ", ".join(f"`{json.dumps(kind)}`" for kind in found)
    meaning = f"Which kind of {registry.what}; each has settings of its own."
    yield Table([path], "", "Of every kind.", [("kind", default, named, meaning), *common])
    for kind, [first, *inner] in found.items():
        first.kind, first.rows = kind, [each for each in rows[kind] if each not in common]
        yield from (first, *inner)


def row(settings: type[Settings], name: str, value: Any) -> Row:
    """Returns the line of one setting, with ``value`` as its default."""
    if value is PydanticUndefined:
        default = "required"
    elif value is None:
        default = "none"
    else:
        default = f"`{json.dumps(plain(value), ensure_ascii=False)}`"
    about = settings.model_fields[name]
    return name, default, values(about), cell(meaning(settings, name))


def plain(value: Any) -> Any:
    """Returns a default as JSON has it, without what is default in a table of its own."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, Settings):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | value.model_dump(mode="json", exclude_defaults=True)
    return to_jsonable_python(value)


def values(about: FieldInfo) -> str:
    """Returns what a setting may be, in words."""
    return f"{in_words(about.annotation)} {bounds(about)}".rstrip()


def in_words(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        parts = tuple(each.value for each in hint)
    if origin is Literal or (not origin and parts):
        return ", ".join(f"`{json.dumps(each)}`" for each in parts)
    if origin is dict:
        return f"table: NAME = {in_words(parts[1])}"
    if origin is tuple:
        more = f"list of {in_words(parts[0])}"
        return more if parts[1:] == (...,) else f"{more}, {len(parts)} of them"
    if origin is Annotated:
        return in_words(parts[0])
    if parts:
        return " or ".join(in_words(each) for each in parts if each is not NoneType)
    return WORDS.get(hint) or "table"


def first_sentence(settings: type[Settings]) -> str:
    """Returns what the docstring of a class, or of its nearest base with one, says first."""
    paragraph = (inspect.getdoc(settings) or "").split("\n\n")[0]
    return cell(in_markdown(paragraph))


def cell(line: str) -> str:
    """Returns a line of Markdown as it stands in a table."""
    return line.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
