"""chiasm plan: from held-out starts to goal pictures, beside baselines and the oracle."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from chiasm.assembly import open_material
from chiasm.cli.options import check_folder
from chiasm.cli.progress import RunDisplay
from chiasm.documents import ActionVideos
from chiasm.errors import UserError
from chiasm.evaluation.material import Material
from chiasm.evaluation.plans import MODEL, ORACLE, PlannedScene, plan_rows, plan_scenes
from chiasm.evaluation.rows import Row
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe
from chiasm.report.plans import write_plans
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.settings import PRESETS
from chiasm.worldmodel.trajectory import refuse_missing_evo
from chiasm.worlds import WorldSource


def plan(
    run: Annotated[Path, typer.Argument(help="A run folder whose training has ended.")],
    scenes: Annotated[
        int, typer.Option(min=1, help="Held-out scenes; sets evaluation.plans.")
    ] = 24,
    preset: Annotated[
        str, typer.Option(help=f"Settings of the planner: {', '.join(PRESETS)}.")
    ] = "",
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Plan with the engine as world model as well.")
    ] = False,
    source: Annotated[
        str, typer.Option(help="Which source of action videos; without it the first.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files; without it RUN/plans.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting: --set evaluation.planner.samples=128."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Plan held-out scenes; writes plans.json, trajectories for evo and a sheet of each shown."""
    folder = out or run / "plans"
    check_folder(folder)
    refuse_missing_evo()
    recipe = load_recipe(
        run / "recipe.toml", [f"evaluation.plans={scenes}", *_preset(preset), *(set_ or [])]
    )
    pretrained = Pretrained.load(run, recipe.training.device)
    settings = recipe.evaluation
    with RunDisplay() as display:
        material = open_material(recipe, cache, display.on_stage)
        train, held_out = _sides(material, source)
        planned = plan_scenes(
            pretrained,
            train,
            held_out,
            settings,
            world_models=[MODEL, ORACLE] if oracle else [MODEL],
            progress=display.on_stage,
        )
        shown = planned[: settings.shown]
        ends = _true_ends(shown, held_out, pretrained)
    rows = plan_rows(planned, settings.seed)
    write_plans(folder, planned, rows, settings, shlex.join(["chiasm", *sys.argv[1:]]), ends)
    _print(rows)
    print(f"plans, trajectories and sheets are in {folder}")


def _preset(name: str) -> list[str]:
    """The settings of a preset, as overrides that others may follow."""
    if not name:
        return []
    if name not in PRESETS:
        raise UserError(f"--preset {name}: choose one of {', '.join(PRESETS)}")
    return [f"evaluation.planner.{key}={value}" for key, value in PRESETS[name].items()]


def _sides(material: Material, name: str) -> tuple[ActionVideos, ActionVideos]:
    sources = material.action_videos()
    if not sources:
        raise UserError(
            "this run has no source of action videos to plan on: neither the embedded world's task "
            "action_video nor recorded trajectories"
        )
    if name and name not in sources:
        raise UserError(f"--source {name}: the sources with walks are {', '.join(sources)}")
    chosen = name or next(iter(sources))
    return material.training_walks(chosen), sources[chosen]


def _true_ends(
    planned: Sequence[PlannedScene], source: ActionVideos, pretrained: Pretrained
) -> list[dict[str, np.ndarray]]:
    """What the engine shows where each plan ends; nothing for recorded walks."""
    if not isinstance(source, WorldSource):
        return [{} for _ in planned]
    world, shape = source.world, pretrained.vision_tokenizer.image_shape
    with Oracle(world.settings, world.split, pretrained.actions, shape) as engine:
        return [
            {
                name: engine.imagine([each.scene.context], [plan.actions])[0][-1]
                for name, plan in each.plans.items()
            }
            for each in planned
        ]


def _print(rows: Sequence[Row]) -> None:
    """Means, baselines and paired differences, each with two standard errors."""
    table = Table("measure", "value", "baseline", "its value", "difference", "verdict")
    for row in rows:
        assert row.baseline is not None
        assert row.difference is not None
        assert row.difference_se is not None
        table.add_row(
            row.name,
            f"{row.value:.3f} ± {2 * row.standard_error:.3f}",
            row.baseline_name,
            f"{row.baseline:.3f}",
            f"{row.difference:+.3f} ± {2 * row.difference_se:.3f}",
            str(row.verdict),
        )
    Console().print(table)
    print(
        f"{rows[0].num_items} scenes on {rows[0].num_clusters} maps or trajectories; ± two "
        "standard errors, clustered by them"
    )
