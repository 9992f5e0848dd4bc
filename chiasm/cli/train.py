"""chiasm train: pretrain from a recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_recipe


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file.")],
    out: Annotated[
        Path | None, typer.Option(help="The run folder; without it runs/ and the recipe's name.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting, as in --set model.width=256; repeatable."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run in the folder and begin again.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Pretrain a model from a recipe; a run that was stopped or killed goes on where it was."""
    settings = load_recipe(recipe, set_ or [])
    from chiasm.assembly import train_run  # imports torch: mistakes in the recipe come before

    folder = out or Path("runs") / settings.name
    with RunDisplay(settings.training.steps) as display:
        train_run(
            settings,
            folder,
            cache_folder=cache,
            fresh=fresh,
            command=shlex.join(["chiasm", *sys.argv[1:]]),
            tell=display.tell,
            on_stage=display.on_stage,
            on_step=display.on_step,
        )
    print(f"trained {settings.training.steps} steps; the model is in {folder / 'model'}")
