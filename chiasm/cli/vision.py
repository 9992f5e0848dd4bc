"""chiasm vision train: make a vision tokenizer."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.assembly import default_cache_folder
from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_settings
from chiasm.vision import VisionTrainingSettings, train_from_settings

app = typer.Typer(help="Vision tokenizers.", no_args_is_help=True)


@app.callback()
def vision() -> None:
    """Vision tokenizers."""


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file.")],
    out: Annotated[Path, typer.Option(help="The tokenizer's folder.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting, as in --set seed=1; repeatable."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Train an encoder, freeze it, train its decoder; a call that was stopped goes on."""
    settings = load_settings(VisionTrainingSettings, recipe, set_ or [])
    with RunDisplay() as display:
        train_from_settings(
            settings,
            out,
            cache_folder=(cache or default_cache_folder()) / "worlds",
            progress=display.on_fit,
            command=shlex.join(["chiasm", *sys.argv[1:]]),
        )
    print(f'the tokenizer is in {out}; a recipe uses it with [vision] path = "{out}"')
