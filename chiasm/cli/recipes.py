"""chiasm recipes: the recipes and studies that come with the package."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.settings import Settings
from chiasm.shipped import purpose, shipped_recipe, shipped_recipes
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.studies.settings import StudySettings
from chiasm.toml import load_toml
from chiasm.vision.learning.settings import VisionTrainingSettings

app = typer.Typer(help="The recipes that come with the package.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As the list has it, such as quickstart.")]


VERBS: dict[str, type[Settings]] = {
    "train": Recipe,
    "vision train": VisionTrainingSettings,
    "sound train": SoundTrainingSettings,
    "study run": StudySettings,
}
"""Verb → settings of the files that it takes."""


@app.command("list")
def list_recipes() -> None:
    """List recipes and studies, each with the verb that takes it and what it is for."""
    recipes = shipped_recipes()
    width, verb_width = max(map(len, recipes)), max(map(len, VERBS))
    for name, file in recipes.items():
        print(f"{name:<{width}}  {_verb(file):<{verb_width}}  {purpose(file)}")


@app.command()
def show(name: Name) -> None:
    """Print one."""
    print(shipped_recipe(name).read_text(), end="")


@app.command()
def copy(
    name: Name,
    out: Annotated[Path, typer.Argument(help="The folder that it is written to.")] = Path("."),
) -> None:
    """Write one into a folder, to be changed; with a study, the recipe that it varies.

    The command that takes it is printed. A file of that name that says something else is not
    overwritten.
    """
    file = shipped_recipe(name)
    varied = load_toml(file).get("recipe")
    files = [file] if varied is None else [file, file.parent / varied]
    for each in files:
        there = out / each.name
        if there.exists() and there.read_bytes() != each.read_bytes():
            raise UserError(f"{there} exists and is another one; give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in files:
            shutil.copyfile(each, out / each.name)
            print(out / each.name)
    except OSError as error:
        raise UserError(
            f"{out} cannot be written: {error.strerror}; give another folder"
        ) from error
    print(f"it is taken by\n  {_command(file, out / file.name)}")


def _verb(file: Path) -> str:
    """Returns the verb whose settings have all tables of a file."""
    tables = load_toml(file).keys()
    return next(verb for verb, own in VERBS.items() if tables <= own.model_fields.keys())


def _command(file: Path, copied: Path) -> str:
    """Returns the command of a recipe's comment for a copy of it, or else a plain one."""
    verb = _verb(file)
    own = re.search(
        rf"^#   chiasm {verb} \S*/{re.escape(file.name)}((?:.*\\\n#)*.*)", file.read_text(), re.M
    )
    if own is None:
        return f"chiasm {verb} {copied}{' --out FOLDER' * (verb != 'study run')}"
    return f"chiasm {verb} {copied}{own[1].replace(chr(10) + '#', chr(10))}"
