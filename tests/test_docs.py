"""What README and docs/ say is so: links, commands, recipes, settings, files and Python names.

Nothing that a page shows is run; commands are parsed by the command line's own parser.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chiasm.cli import MODULES
from chiasm.cli.verbs import load_verb
from chiasm.controls import ControlSettings
from chiasm.data.episodes import RecordedControl
from chiasm.data.source import SOURCES
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.inference.request import SamplingSettings
from chiasm.loop.optimizer import OPTIMIZERS
from chiasm.model.settings import InnerSettings
from chiasm.recipe import Recipe, load_recipe, parse_recipe
from chiasm.registry import Registry
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.studies.settings import HELD_OUT, MetricSettings, ShiftSettings, StudySettings
from chiasm.tokenizers.settings import TOKENIZERS
from chiasm.toml import load_settings, parse_settings
from chiasm.training.settings import LoraSettings, StreamObjective
from chiasm.vision.learning.settings import VisionTrainingSettings
from chiasm.vision.settings import DECODERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SMALLEST = {"name": "docs", "stream": {"sources": {"NAME": {"kind": "text", "path": "texts"}}}}
"""What a recipe must name."""

STUDY = {
    "name": "docs",
    "recipe": "NAME.toml",
    "cells": [{"name": "NAME"}],
    "metrics": [{"name": "NAME", "validation": "loss"}],
    "published": [{"cell": "NAME", "metric": "NAME", "value": 0.0, "name": "", "source": "NAME"}],
    "held_out": {"NAME": {"kind": "text", "path": "texts"}},
    "shift": {
        "corpus": "NAME",
        "texts": ["NAME"],
        "published": [{"name": "NAME", "value": 0.0, "source": "NAME"}],
    },
}
"""A study with one of everything."""

TRAINED = {
    ("vision", "train"): (VisionTrainingSettings, "vision-embedded-world.toml"),
    ("sound", "train"): (SoundTrainingSettings, "vocoder.toml"),
}
"""Verb → what its recipe is, and a shipped one."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:tests|chiasm|recipes|benchmarks|docs)/[\w./-]+)`")
SECTION = re.compile(r"^### (.+)\n\n.*\n\n((?:\|.*\n)+)", re.MULTILINE)
SETTING = re.compile(r"^\| `([\w.]+)` \| (required|none|`([^`]*)`) \|", re.MULTILINE)


def blocks(page: Path, *kinds: str) -> list[str]:
    """The fenced blocks of a page that are marked with one of ``kinds``."""
    return [body for kind, body in FENCE.findall(page.read_text()) if kind in kinds]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) for every line of a shell block that calls chiasm."""
    for page in PAGES:
        for block in blocks(page, "bash", "sh", "shell", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.strip().removeprefix("$ ")
                if command.startswith("chiasm "):
                    yield page.name, command


def anchors(page: Path) -> set[str]:
    """The names that a link to one of the page's headings may use."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages(pattern: str) -> pytest.MarkDecorator:
    """The pages on which a text stands, of which there must be some (``pyproject.toml``)."""
    found = [page for page in PAGES if re.search(pattern, page.read_text(), re.MULTILINE)]
    return pytest.mark.parametrize("page", found, ids=lambda page: page.name)


@pages("^```")
def test_every_block_is_read(page: Path) -> None:
    lines = [line for line in page.read_text().splitlines() if line.startswith("```")]
    assert len(lines) == 2 * len(FENCE.findall(page.read_text()))


@pages(r"\]\(")
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(prose(page))
    assert len(links) == prose(page).count("](")
    for target in links:
        if re.match(r"\w+:", target):
            continue  # of the web
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}"


@pages(FILE.pattern)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in FILE.findall(prose(page)):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_commands_parse(page: str, command: str) -> None:
    """Verbs and options exist, values have their types, and --set names settings."""
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "--import":
        del words[:2]  # a user's own file
    path = [words.pop(0)]
    verb = load_verb(path[0], MODULES[path[0]])
    if hasattr(verb, "commands"):
        path.append(words.pop(0))
        assert path[-1] in verb.commands, f"{page}: {command}"
        verb = verb.commands[path[-1]]
    given = verb.make_context(" ".join(path), words).params
    overrides = given.get("set_") or []
    if tuple(path) in TRAINED:
        form, instead = TRAINED[tuple(path)]
        load_settings(form, shipped(given["recipe"], instead), overrides)
    elif "set_" in given:
        file = shipped(given.get("recipe", Path("run")), "quickstart.toml")
        load_recipe(file, ["streams.seen.kind=rae", *overrides])  # a user's own may have it


def shipped(recipe: Path, instead: str) -> Path:
    """A recipe that a command names; for a user's own, one to try its --set on."""
    own = recipe.parts[0] != "recipes"
    return ROOT / "recipes" / instead if own else ROOT / recipe


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--colour") as caught:
        load_verb("train", "train").make_context("train", ["r.toml", "--colour", "red"])
    assert type(caught.value).__name__ == "NoSuchOption"


@pages("^```toml")
def test_recipes_are_valid(page: Path, tmp_path: Path) -> None:
    """Whole ones as they are; a fragment with what every recipe must name, and its modules."""
    modules = blocks(page, "python")
    for block in blocks(page, "toml"):
        content = tomllib.loads(block)
        for name in content.get("imports", ()):
            [module] = [each for each in modules if each.startswith(f'"""{name}: ')]
            (tmp_path / name).write_text(module)
        if content.keys() <= SoundTrainingSettings.model_fields.keys() and "mel" in content:
            parse_settings(SoundTrainingSettings, content)
        elif not content.keys() <= Recipe.model_fields.keys():
            parse_settings(VisionTrainingSettings, content)
        else:
            parse_recipe({**SMALLEST, **content}, tmp_path)


@pages(r"\| default \|")
def test_settings_have_the_names_and_defaults_that_the_tables_say(page: Path) -> None:
    told = settings_told(page)
    assert told
    for name, default, value in told:
        found = [root_value for root in roots() for root_value in looked_up(root, name)]
        assert found, f"{page.name} has {name}, which is no setting"
        if default == "none":
            assert None in found, f"{page.name}: {name} is {found}"
        elif default != "required":
            wanted = json.loads(value)
            assert wanted in found, f"{page.name}: {name} = {value}, the code has {found}"


def test_the_page_of_settings_is_as_the_code_is(settings_page: ModuleType) -> None:
    assert settings_page.PAGE.read_text() == settings_page.page(), "make docs"


def test_every_setting_is_on_the_page_of_settings(settings_page: ModuleType) -> None:
    """Also under the further places of a table that is shown once."""
    shown = {name for name, *_ in settings_told(settings_page.PAGE)}
    for heading, table in SECTION.findall(settings_page.PAGE.read_text()):
        first, *others = re.findall(r"`\[+([\w.]+)\]+`", heading)
        names = re.findall(rf"^\| `{first}\.([\w.]+)`", table, re.MULTILINE)
        assert names
        shown |= {f"{other}.{name}" for other in others for name in names}
    names = {
        name.replace("streams.image", "streams.NAME") for root in roots() for name in leaves(root)
    }
    assert len(names) > 200
    assert names <= shown, names - shown


@pytest.fixture(scope="module")
def settings_page() -> Iterator[ModuleType]:
    """The module that writes docs/settings.md."""
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / "docs" / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def roots() -> Iterator[dict[str, Any]]:
    """Tables with every setting that there is, at its default where it has one."""
    yield parse_recipe(SMALLEST).model_dump(mode="json")
    yield {"streams": {"image": {"kind": "rae"}}}  # as settings.md says it
    for kind in kinds(SOURCES):
        yield {"stream": {"sources": {"NAME": kind}}}
    for kind in kinds(TOKENIZERS):
        yield {"streams": {"NAME": kind, "image": kind}}
    for kind in kinds(OPTIMIZERS):
        yield {"training": {"optimizer": kind}}
    yield {"training": {"lora": LoraSettings().model_dump(mode="json")}}
    yield {"actions": {"controls": {"NAME": ControlSettings().model_dump(mode="json")}}}
    where = RecordedControl().model_dump(mode="json")
    yield {"stream": {"sources": {"NAME": {"controls": {"NAME": where}}}}}
    yield {"model": {"inner": InnerSettings(block=1).model_dump(mode="json")}}
    yield {"objective": {"streams": {"NAME": StreamObjective().model_dump(mode="json")}}}
    yield VisionTrainingSettings().model_dump(mode="json")
    yield SoundTrainingSettings().model_dump(mode="json")
    for kind in kinds(DECODERS):
        yield {"decoder": kind}
    yield parse_settings(StudySettings, STUDY).model_dump(mode="json")
    yield StudySettings.model_construct(recipe=Path(), metrics=()).model_dump(mode="json")
    yield {"shift": ShiftSettings(corpus="", texts=("",)).model_dump(mode="json")}
    yield {"metrics": MetricSettings(name="NAME", report="loss").model_dump(mode="json")}
    for kind in kinds(HELD_OUT):
        yield {"held_out": {"NAME": kind}}
    yield SamplingSettings().model_dump(mode="json")
    yield AtlasSettings().model_dump(mode="json")


def kinds(registry: Registry[Any]) -> list[dict[str, Any]]:
    """The defaults of every kind that is not of a test."""
    classes = [registry.of(kind) for kind in registry.kinds]
    homes = [
        next(base for base in each.__mro__ if "kind" in inspect.get_annotations(base))
        for each in classes
    ]
    return [
        each().model_dump(mode="json")
        for each, home in zip(classes, homes, strict=True)
        if home.__module__.startswith("chiasm.")
    ]


def leaves(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of what is no table."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def settings_told(page: Path) -> list[tuple[str, str, str]]:
    """(name, default, its value) of every row under a header ``setting | default``."""
    tables = re.findall(
        r"^\|[^|]*setting[^|]*\| default \|.*\n((?:\|.*\n)+)", page.read_text(), re.M
    )
    told = []
    for line in (line for table in tables for line in table.splitlines()[1:]):
        row = SETTING.match(line)
        assert row, f"{page.name}: write the default as TOML in backticks, none or required: {line}"
        told.append(row.groups())
    return told


def looked_up(table: Any, name: str) -> list[Any]:
    """The value of a dotted name, or nothing."""
    for part in name.split("."):
        table = table[0] if isinstance(table, list) and table else table
        if not isinstance(table, dict) or part not in table:
            return []
        table = table[part]
    return [table]


@pages("^```py")
def test_python_that_is_shown_imports_what_there_is(page: Path) -> None:
    for block in blocks(page, "python", "py"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page.name}: {node.module}.{alias.name}"


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if f"]({p.name})" not in index]
    assert set(missing) <= {"README.md", "log.md"}


def test_benchmarks_import_what_there_is() -> None:
    imported = [
        (path, node.module, alias.name)
        for path in sorted((ROOT / "benchmarks").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chiasm")
        for alias in node.names
    ]
    assert len(imported) > 50
    for path, module, name in imported:
        there = hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}")
        assert there, f"{path.name}: {module}.{name}"
