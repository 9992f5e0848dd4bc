"""chiasm scaling plan: an IsoFLOP study from budgets and a number of sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.batch.streams import IMAGE
from chiasm.cli.options import Cache, check_file, numbers, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.recipe import load_recipe
from chiasm.report.doc import Table
from chiasm.report.numbers import short_count
from chiasm.report.terminal import show
from chiasm.studies.grid import SPACING, Centre
from chiasm.studies.isoflop import STUDY_NAME, plan_isoflop, write_study
from chiasm.studies.settings import load_study
from chiasm.studies.shapes import RATE_EXPONENT
from chiasm.studies.step import count_recipe_step

PLAN_RECIPE = Path("recipes/quickstart.toml")


def plan(
    budgets: Annotated[str, typer.Option(help="FLOPs of a run, such as 1e12,3e12,1e13.")],
    sizes: Annotated[int, typer.Option(help="Models for each budget.")] = 5,
    recipe: Annotated[Path, typer.Option(help="The recipe that all runs share.")] = PLAN_RECIPE,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions of each run.")] = 2,
    out: Annotated[Path, typer.Option(help="The study file to write.")] = Path("isoflop.toml"),
    centre: Annotated[
        str,
        typer.Option(
            help="Expected optima as FLOPS:PARAMETERS, such as 1e12:2e5,1e13:7e5; without it 20 "
            "tokens per parameter."
        ),
    ] = "",
    spacing: Annotated[float, typer.Option(help="Factor from size to size.")] = SPACING,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1, help="Blocks of every model; without it the recipe's width over depth is kept."
        ),
    ] = None,
    rate_exponent: Annotated[
        float,
        typer.Option(help="The learning rate is the recipe's at its width, ∝ width to minus this."),
    ] = RATE_EXPONENT,
    set_: Annotated[list[str] | None, overrides("model.experts=moe")] = None,
    cache: Cache = None,
) -> None:
    """Plan an IsoFLOP study: shapes, learning rates and steps that spend each budget."""
    flops = numbers("--budgets", budgets)
    check_file(out)
    if not STUDY_NAME.fullmatch(out.stem):
        raise UserError(
            f"--out {out}: the study is named after its file; use letters, digits, dots and dashes"
        )
    known = [_pair(text) for text in centre.split(",") if text.strip()]
    settings = load_recipe(recipe, set_ or [])
    with RunDisplay() as display:
        step = count_recipe_step(settings, cache, display.on_stage)
    planned = plan_isoflop(
        settings,
        step,
        flops,
        sizes,
        centre=Centre(known),
        spacing=spacing,
        depth=depth,
        rate_exponent=rate_exponent,
    )
    modalities = [
        name
        for name, rows in (
            ("text", step.work.text_rows),
            ("vision", step.work.latent_rows.get(IMAGE)),
        )
        if rows
    ]
    write_study(planned, out, recipe, seeds, modalities, set_ or [])
    load_study(out)  # mistakes are reported here, and not by the next command
    columns = ("cell", "N active", "N total", "D", "D/N", "steps", "rate", "used / budget")
    rows = [
        (
            cell.name,
            short_count(cell.shape.active_parameters),
            short_count(cell.shape.total_parameters),
            short_count(cell.tokens),
            f"{cell.tokens / cell.shape.active_parameters:.3g}",
            f"{cell.steps:,}",
            f"{cell.learning_rate:.2g}",
            f"{cell.flops / cell.budget_flops:.4f}",
        )
        for cell in planned.cells
    ]
    show(Table(rows, columns, unbroken={0}))
    for warning in planned.warnings:
        print(f"warning: {warning}")
    print(planned.rule)
    share = planned.trained_flops / planned.flops
    begun = f", {share:.0%} of them trained: longer runs begin with shorter ones"
    print(
        f"{len(planned.cells)} cells, {seeds} seeds each, {seeds * planned.flops:.3g} FLOPs in "
        f"all{begun if share < 1 else ''}; the study is {out}: chiasm study run {out}"
    )


def _pair(text: str) -> tuple[float, float]:
    budget, colon, size = text.partition(":")
    if not colon:
        raise UserError(f"--centre {text}: write FLOPS:PARAMETERS, such as 1e12:2e5")
    return numbers("--centre", budget)[0], numbers("--centre", size)[0]
