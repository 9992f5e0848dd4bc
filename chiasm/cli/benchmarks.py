"""The run whose held-out captions are a picture benchmark: its model and its data, opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.cli.options import check_run
from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_recipe

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.inference.pretrained import Pretrained


def opened_run(
    folder: Path, pretrained: Pretrained, cache: Path | None, display: RunDisplay
) -> Run:
    """Returns a run's model with its data, and the settings of its evaluation."""
    from chiasm.assembly import open_material
    from chiasm.evaluation.run import Run

    check_run(folder)
    recipe = load_recipe(folder / "recipe.toml")
    material = open_material(recipe, cache, display.on_stage)
    return Run(pretrained, material, recipe.evaluation, display.on_stage)
