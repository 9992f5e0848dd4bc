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
from chiasm.report.atlas import write_atlas
from chiasm.toml import parse_settings

DEFAULTS = AtlasSettings()


def experts(
    run: Annotated[Path, typer.Argument(help="A run folder whose training has ended.")],
    documents: Annotated[
        int, typer.Option(min=2, help="Held-out documents of each source.")
    ] = DEFAULTS.documents,
    cutoff: Annotated[
        float, typer.Option(help="Of text where S is above it, of vision where S is below -it.")
    ] = DEFAULTS.cutoff,
    seed: Annotated[
        int, typer.Option(min=0, help="Of noise, flow times and resamples.")
    ] = DEFAULTS.seed,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """What the routers learned, on held-out data; writes experts/atlas.html into the run."""
    settings = parse_settings(
        AtlasSettings, {"documents": documents, "cutoff": cutoff, "seed": seed}
    )
    if not (run / "recipe.toml").is_file():
        raise UserError(f"{run} is no run: it has no recipe.toml; give a folder of chiasm train")
    recipe = load_recipe(run / "recipe.toml")
    refuse_dense(recipe.model)  # before anything is rendered
    pretrained = Pretrained.load(run, device)
    with RunDisplay() as display:
        material = open_material(recipe, cache, display.on_stage)
        atlas = draw_atlas(pretrained, material, settings, display.on_stage)
    files = write_atlas(run, atlas, shlex.join(["chiasm", *sys.argv[1:]]))
    print(f"the atlas is {files.page}")
