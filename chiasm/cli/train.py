"""chiasm train: pretrain from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import Cache, Fresh, RecipeFile, command, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.cli.ranks import several_ranks
from chiasm.recipe import load_recipe


def train(
    recipe: RecipeFile,
    out: Annotated[
        Path | None, typer.Option(help="The run folder; without it runs/ and the recipe's name.")
    ] = None,
    set_: Annotated[list[str] | None, overrides("model.width=256")] = None,
    fresh: Fresh = False,
    cache: Cache = None,
) -> None:
    """Pretrain a model from a recipe; a run that was stopped or killed goes on where it was."""
    opening = several_ranks(
        lambda: load_recipe(recipe, set_ or []),
        lambda settings: settings.training.parallel.timeout_seconds,
    )
    with opening as (settings, ranks):
        from chiasm.assembly import train_run  # imports torch: mistakes in the recipe come before

        folder = out or Path("runs") / settings.name
        with RunDisplay(settings.training.steps, silent=not ranks.is_first) as display:
            train_run(
                settings,
                folder,
                cache_folder=cache,
                fresh=fresh,
                command=command(),
                tell=display.tell,
                on_stage=display.on_stage,
                on_step=display.on_step,
                ranks=ranks,
            )
        if ranks.is_first:
            steps = settings.training.steps
            done = f"trained {steps} steps" if display.steps else f"all {steps} steps were done"
            print(f"{done}; the model is in {folder / 'model'}")
