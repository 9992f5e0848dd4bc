"""chiasm sound: make a tokenizer of sounds.

The verb imports what it needs, torch above all, once its recipe is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import Device, RecipeFile, command, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.toml import load_settings

app = typer.Typer(help="Tokenizers of sound.", no_args_is_help=True)


@app.callback()
def sound() -> None:
    """Tokenizers of sound."""


@app.command()
def train(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The tokenizer's folder.")],
    device: Device = "auto",
    set_: Annotated[list[str] | None, overrides("seed=1")] = None,
) -> None:
    """Train a decoder of log-mel spectrograms; a call that was stopped goes on."""
    settings = load_settings(SoundTrainingSettings, recipe, set_ or [])
    from chiasm.device import choose_device
    from chiasm.sound.learning.training import train_from_settings

    with RunDisplay() as display:
        train_from_settings(
            settings,
            out,
            device=choose_device(device),
            progress=display.on_fit,
            tell=display.tell,
            command=command(),
        )
    uses = f'kind = "vocoder" and path = "{out}"'
    print(f"the tokenizer is in {out}; a recipe uses it with {uses} under [streams.sound]")
