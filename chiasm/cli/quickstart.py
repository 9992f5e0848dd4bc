"""chiasm quickstart: from nothing to a trained, used and reported model in the given time.

The stages: render the embedded world, train a text tokenizer, pretrain on all five sources,
measure on held-out worlds, write the report. The number of training steps is chosen from this
machine's own speed, written into the run's recipe, and from then on fixed: a quickstart that was
stopped goes on exactly where it was.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import Cache, Fresh, command
from chiasm.cli.progress import RunDisplay
from chiasm.recipe import Recipe, load_recipe
from chiasm.report.terminal import show
from chiasm.shipped import shipped_recipe

FULL_MINUTES = 15
"""Duration that the recipe's sizes are meant for."""

TRAINING_SHARE = 0.72
"""Share of training in the whole time; rendering before and evaluation after take the rest."""

FEWEST_STEPS = 20


def quickstart(
    minutes: Annotated[
        float, typer.Option(min=1, help="How long the whole of it may take on this machine.")
    ] = FULL_MINUTES,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/quickstart"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, data order and noise.")] = 0,
    fresh: Fresh = False,
    cache: Cache = None,
) -> None:
    """Pretrain, use and report a small multimodal model on the embedded world."""
    # With torch, which a mistyped option need not wait for.
    from chiasm.assembly import open_material, refuse_foreign_folder, seconds_per_step, train_run
    from chiasm.assembly.measured import write_evaluation
    from chiasm.report.page import headlines, not_measured

    began = time.monotonic()
    refuse_foreign_folder(out)
    kept = out / "recipe.toml"
    going_on = kept.exists() and not fresh
    if going_on and is_finished(out):
        print(f"the run in {out} is finished: open {out / 'report.html'}; --fresh begins again")
        return
    recipe = (
        load_recipe(kept)
        if going_on
        else scaled(load_recipe(shipped_recipe("quickstart")), minutes, seed)
    )
    with RunDisplay(recipe.training.steps) as display:
        if going_on:
            display.tell(
                f"going on with the run in {out} as it began, whatever --minutes and --seed say; "
                "--fresh begins again"
            )
        material = open_material(recipe, cache, display.on_stage)
        rendered = time.monotonic()
        if not going_on:
            step_seconds = seconds_per_step(recipe, material, cache_folder=cache)
            recipe = with_steps(recipe, step_seconds, minutes)
            display.num_steps = recipe.training.steps
        train_run(
            recipe,
            out,
            material=material,
            cache_folder=cache,
            fresh=fresh,
            command=command(),
            tell=display.tell,
            on_stage=display.on_stage,
            on_step=display.on_step,
        )
        trained = time.monotonic()
        seconds = {"worlds": rendered - began, "training": trained - rendered}
        evaluation, files = write_evaluation(
            out,
            recipe,
            material,
            seconds=seconds,
            command=command(),
            tell=display.tell,
            on_section=display.on_section,
        )
        display.end_sections()
    show(headlines(evaluation), not_measured(evaluation))
    print(f"done in {(time.monotonic() - began) / 60:.1f} minutes: open {files.page}")
    print(f'then try: chiasm sample {out} --prompt "story:"')


def is_finished(run: Path) -> bool:
    """Returns whether the run has a report of its final model."""
    model, page = run / "model", run / "report.html"
    return model.is_dir() and page.exists() and page.stat().st_mtime >= model.stat().st_mtime


def scaled(recipe: Recipe, minutes: float, seed: int) -> Recipe:
    """Returns the recipe with worlds and evaluation cut to the time, never enlarged."""
    share = min(1.0, minutes / FULL_MINUTES)

    def cut(number: int, fewest: int) -> int:
        return max(fewest, round(number * share))

    world, evaluation = recipe.world, recipe.evaluation
    world = world.model_copy(
        update={
            "train_maps": cut(world.train_maps, 8),
            "held_out_maps": cut(world.held_out_maps, 4),
        }
    )
    evaluation = evaluation.model_copy(
        update={
            name: cut(getattr(evaluation, name), 8)
            for name in (
                "text_documents",
                "ngram_documents",
                "flow_documents",
                "probe_frames",
                "drawings",
                "questions",
                "next_views",
            )
        }
    )
    return recipe.model_copy(update={"world": world, "evaluation": evaluation, "seed": seed})


def with_steps(recipe: Recipe, step_seconds: float, minutes: float) -> Recipe:
    """Returns the recipe with as many steps as fit training's share of the time."""
    steps = max(FEWEST_STEPS, int(TRAINING_SHARE * 60 * minutes / step_seconds))
    training = recipe.training
    warmup = min(training.schedule.warmup_steps, steps // 4)
    schedule = training.schedule.model_copy(update={"warmup_steps": warmup})
    training = training.model_copy(update={"steps": steps, "schedule": schedule})
    return recipe.model_copy(update={"training": training})
