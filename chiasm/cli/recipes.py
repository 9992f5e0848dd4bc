"""chiasm recipes: the recipes and studies that come with the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from chiasm.errors import UserError
from chiasm.shipped import purpose, shipped_recipe, shipped_recipes
from chiasm.toml import load_toml

app = typer.Typer(help="The recipes that come with the package.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As the list has it, such as quickstart.")]


@app.command("list")
def list_recipes() -> None:
    """List recipes and studies, each with what it is for."""
    recipes = shipped_recipes()
    width = max(map(len, recipes))
    for name, file in recipes.items():
        print(f"{name:<{width}}  {purpose(file)}")


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

    A file of that name that says something else is not overwritten.
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
