"""chiasm experts: the routing atlas of a trained mixture of experts."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.assembly import open_material
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.evaluation.atlas import AtlasSettings, draw_atlas, refuse_dense
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe
from chiasm.report.atlas.write import earlier_atlas, write_atlas

DEFAULTS = AtlasSettings()


def experts(
    run: Annotated[Path, typer.Argument(help="A run folder whose training has ended.")],
    documents: Annotated[
        int, typer.Option(help="Held-out documents of each source, at least 2.")
    ] = DEFAULTS.documents,
    cutoff: Annotated[
        float,
        typer.Option(help="In (0, 1): of text where S is above it, of vision where below -it."),
    ] = DEFAULTS.cutoff,
    seed: Annotated[
        int, typer.Option(help="Of noise, flow times and resamples, at least 0.")
    ] = DEFAULTS.seed,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """What the routers learned, on held-out data; writes experts/atlas.html into the run."""
    settings = _settings(documents, cutoff, seed)
    if not (run / "recipe.toml").is_file():
        raise UserError(f"{run} is no run: it has no recipe.toml; give a folder of chiasm train")
    recipe = load_recipe(run / "recipe.toml")
    refuse_dense(recipe.model)  # before anything is rendered
    pretrained = Pretrained.load(run, device)
    with RunDisplay() as display:
        material = open_material(recipe, cache, display.on_stage)
        atlas = draw_atlas(pretrained, material, settings, display.on_stage)
    replaced = earlier_atlas(run)
    files = write_atlas(run, atlas, shlex.join(["chiasm", *sys.argv[1:]]))
    print(f"the atlas is {files.page}")
    if replaced:
        print(f"it replaces an earlier one ({replaced})")


def _settings(documents: int, cutoff: float, seed: int) -> AtlasSettings:
    """Returns the options as settings; a message about one out of bounds names the option."""
    if documents < 2:
        raise UserError(f"--documents {documents}: give at least 2")
    if not 0 < cutoff < 1:  # nan too
        raise UserError(f"--cutoff {cutoff:g}: give a number above 0 and below 1")
    if seed < 0:
        raise UserError(f"--seed {seed}: give at least 0")
    return AtlasSettings(documents=documents, cutoff=cutoff, seed=seed)
