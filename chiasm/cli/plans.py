"""chiasm plan: from held-out starts to goal pictures, beside baselines and the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from chiasm.capabilities import PosedVideos, Rendered
from chiasm.cli.choice import read_picture
from chiasm.cli.options import Cache, EndedRun, check_folder, check_run, command, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.plans import ERRORS, places, plan_rows
from chiasm.intervals import ClusteredMean, clustered_mean, paired_difference
from chiasm.recipe import Recipe, load_recipe
from chiasm.report.doc import Table
from chiasm.report.terminal import show
from chiasm.worldmodel.settings import BASELINES, MODEL, ORACLE, PRESETS

if TYPE_CHECKING:
    from chiasm.evaluation.material import Material
    from chiasm.evaluation.planning import PlannedScene
    from chiasm.inference.pretrained import Pretrained

SCENES = 24
SETTINGS = {
    "--scenes": "evaluation.plans",
    "--seed": "evaluation.seed",
    "--device": "training.device",
}
"""Settings by the options that set them; ``--set`` may not set them too."""


def plan(
    run: EndedRun,
    scenes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Held-out scenes; sets evaluation.plans.", show_default=str(SCENES)
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help=f"Settings of the planner: {', '.join(PRESETS)}.")
    ] = "",
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Plan with the engine as world model as well.")
    ] = False,
    source: Annotated[
        str, typer.Option(help="Which source of action videos; without it the first.")
    ] = "",
    start: Annotated[
        Path | None, typer.Option(help="Plan from this picture, to --goal, instead of scenes.")
    ] = None,
    goal: Annotated[Path | None, typer.Option(help="The picture to plan to.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files; without it RUN/plans.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Sets evaluation.seed: of the draws and the noise.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, or auto; without it the run's training.device."),
    ] = None,
    set_: Annotated[list[str] | None, overrides("evaluation.planner.samples=128")] = None,
    cache: Cache = None,
) -> None:
    """Plan held-out scenes; writes plans.json, trajectories for evo and a sheet of each shown."""
    folder = out or run / "plans"
    check_folder(folder)
    # With torch, which a mistyped option need not wait for.
    from chiasm.assembly import open_material
    from chiasm.evaluation.planning import plan_between, plan_scenes
    from chiasm.evaluation.run import Run
    from chiasm.inference.pretrained import Pretrained
    from chiasm.report.plans import write_plans, write_strip
    from chiasm.worldmodel.lpips import refuse_missing_weights
    from chiasm.worldmodel.trajectory import refuse_missing_evo

    pictures = _pictures(start, goal)
    if pictures is None:
        refuse_missing_evo()
    elif oracle:
        raise UserError("--oracle: the engine does not know where a picture of yours was taken")
    elif scenes is not None:
        raise UserError(f"--scenes {scenes}: --start and --goal are planned instead; leave it out")
    num_scenes = SCENES if scenes is None else scenes
    options = {"--scenes": num_scenes, "--seed": seed, "--device": device}
    recipe = _recipe(run, options, preset, set_ or [])
    settings = recipe.evaluation
    _refuse_missing_source(recipe, source)
    with settings_of("evaluation.planner"):
        refuse_missing_weights(settings.planner)
    pretrained = Pretrained.load(run, recipe.training.device)
    with RunDisplay() as display:
        material = open_material(_with_walks(recipe), cache, display.on_stage)
        train, held_out = _sides(material, source)
        subject = Run(pretrained, material, settings, display.on_stage)
        if pictures is not None:
            found = plan_between(subject, settings.planner, train, *pictures)
        else:
            planned = plan_scenes(
                subject,
                settings.plans,
                settings.planner,
                train,
                held_out,
                world_models=[MODEL, ORACLE] if oracle else [MODEL],
            )
            ends = _true_ends(planned[: settings.shown], held_out, pretrained)
    if pictures is not None:
        print("\n".join(found.actions))
        print(f"cost {found.cost:.3f}; {write_strip(folder, *pictures, found)}")
        return
    if len(planned) < num_scenes:
        typer.echo(f"--scenes {num_scenes}: the held-out walks have {len(planned)}", err=True)
    rows = plan_rows(planned, settings.seed)
    write_plans(folder, planned, rows, settings, command(), ends)
    _print(planned)
    print(f"plans, trajectories and sheets are in {folder}")


def _pictures(start: Path | None, goal: Path | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns start and goal as uint8 [H, W, 3]; None if held-out scenes are planned."""
    if start is None and goal is None:
        return None
    if start is None or goal is None:
        raise UserError("--start and --goal belong together: give both, or none to plan scenes")
    from chiasm.walk.starts import useful_picture

    first, last = read_picture("--start", start), read_picture("--goal", goal)
    return useful_picture(first, str(start)), useful_picture(last, str(goal))


def _recipe(
    run: Path, options: Mapping[str, object], preset: str, overrides: Sequence[str]
) -> Recipe:
    """Returns the run's recipe with changes by the options, the preset and ``--set``.

    Raises:
        UserError: a setting is given twice, is of the model, or contradicts another one.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        for override in overrides:
            if override.partition("=")[0].strip() == SETTINGS[name]:
                raise UserError(f"--set {override}: give it with {name}, and leave --set out")
    own = [f"{SETTINGS[name]}={value}" for name, value in given.items()]
    chosen = _preset(preset)
    check_run(run)
    try:
        recipe = load_recipe(run / "recipe.toml", [*own, *chosen, *overrides])
    except UserError as error:
        set_by_preset = any(e.setting.startswith("evaluation.planner") for e in error.errors)
        if not set_by_preset or not chosen:
            raise
        raise error.at(f"--preset {preset} sets {', '.join(chosen)}") from error
    from chiasm.assembly.measured import refuse_another_model

    refuse_another_model(load_recipe(run / "recipe.toml"), recipe)
    return recipe


def _refuse_missing_source(recipe: Recipe, name: str) -> None:
    """Refuses a recipe without a source to plan on, before anything is rendered."""
    names = list(_with_walks(recipe).stream.sources)
    if not names:
        raise UserError(
            "stream.sources has no source to plan on; one that has walks with actions and poses is "
            "stream.sources.NAME.kind = 'trajectories' or 'world' with task = 'action_video'"
        )
    if name and name not in names:
        raise UserError(f"--source {name}: the sources with walks are {', '.join(names)}")


def _preset(name: str) -> list[str]:
    """Returns the settings of a preset as overrides."""
    if not name:
        return []
    if name not in PRESETS:
        raise UserError(f"--preset {name}: choose one of {', '.join(PRESETS)}")
    return [f"evaluation.planner.{key}={value}" for key, value in PRESETS[name].items()]


def _with_walks(recipe: Recipe) -> Recipe:
    """Returns the recipe with only sources to plan on: others need not be rendered."""
    sources = {
        name: source
        for name, source in recipe.stream.sources.items()
        if (steps := source.steps(recipe.tables)) is not None and steps.posed
    }
    stream = recipe.stream.model_copy(update={"sources": sources})
    return recipe.model_copy(update={"stream": stream})


def _sides(material: Material, name: str) -> tuple[PosedVideos, PosedVideos]:
    sources = material.posed_videos()
    chosen = name or next(iter(sources))
    train = material.training_walks(chosen)
    assert isinstance(train, PosedVideos)
    return train, sources[chosen]


def _true_ends(
    planned: Sequence[PlannedScene], source: PosedVideos, pretrained: Pretrained
) -> list[dict[str, np.ndarray]]:
    """Returns the true view at the end of each plan; empty for recorded walks."""
    if not isinstance(source, Rendered):
        return [{} for _ in planned]
    from chiasm.cli.starts import open_oracle

    with open_oracle(source, pretrained) as engine:
        return [
            {
                name: engine.imagine([each.scene.context], [plan.actions])[0][-1]
                for name, plan in each.plans.items()
            }
            for each in planned
        ]


def _print(planned: Sequence[PlannedScene]) -> None:
    """Prints each planner's means, and their paired differences to the baselines."""
    clusters, planners = places(planned), list(planned[0].plans)
    pairs = [(own, other) for own in planners if own not in BASELINES for other in BASELINES]
    means, differences = [], []
    for measure in ERRORS:
        values = {name: measure.values(planned, name) for name in planners}
        name = f"{measure.name}, {measure.unit}"
        found = (clustered_mean(each, clusters) for each in values.values())
        means.append([name, *map(_bounded, found)])
        paired = (paired_difference(values[own], values[other], clusters) for own, other in pairs)
        differences.append([name, *map(_bounded, paired)])
    against = (f"{own} - {other}" for own, other in pairs)
    show(Table(means, ["", *planners]), Table(differences, ["difference", *against]))
    num_places = len(set(clusters.tolist()))
    errors = (
        "two standard errors, clustered by them" if num_places > 1 else "needs two or more of them"
    )
    print(f"scenes: {len(planned)}, on maps or trajectories: {num_places}; ± {errors}")


def _bounded(estimate: ClusteredMean) -> str:
    """Returns a value ± two standard errors; "-" for a single map or trajectory, which has none."""
    if math.isnan(estimate.standard_error):
        return f"{estimate.value:.3f} ± -"
    return f"{estimate.value:.3f} ± {2 * estimate.standard_error:.3f}"
