"""chiasm scaling: plan an IsoFLOP study, fit a table of points, forecast from a fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from chiasm.cli.laws import (
    beyond_measured,
    growth_json,
    growth_rows,
    price_rows,
    print_fit,
    print_flags,
    print_growth,
    print_optima,
    print_prices,
    value_json,
)
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.recipe import load_recipe
from chiasm.scaling.estimate import TITLES
from chiasm.scaling.figures import write_figures
from chiasm.scaling.fit import Fit, fit_points
from chiasm.scaling.flags import agree
from chiasm.scaling.forecast import common_method, optimum, typed_estimates
from chiasm.scaling.markdown import fit_markdown
from chiasm.scaling.optima import PAPER_MODELS, fit_optima, paper_optima, read_optima
from chiasm.scaling.plan import SPACING, Centre, plan_isoflop
from chiasm.scaling.points import SIXFOLD, read_points
from chiasm.scaling.points import leave_out as leave_out_cells
from chiasm.scaling.record import read_fit, write_fit
from chiasm.scaling.resample import LEVEL
from chiasm.scaling.rows import read_rows
from chiasm.scaling.runs import SizeMeasure
from chiasm.scaling.shapes import RATE_EXPONENT
from chiasm.scaling.step import count_recipe_step
from chiasm.scaling.study_file import STUDY_NAME, write_study
from chiasm.studies import load_study

app = typer.Typer(help="Scaling laws for each modality.", no_args_is_help=True)

PLAN_RECIPE = Path("recipes/quickstart.toml")


@app.command()
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
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of the recipe for the counting."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Plan an IsoFLOP study: shapes, learning rates and steps that spend each budget exactly."""
    flops = _numbers("--budgets", budgets)
    _check_file(out)
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
        for name, rows in (("text", step.work.text_rows), ("vision", step.work.latent_rows))
        if rows
    ]
    write_study(planned, out, recipe, seeds, modalities, set_ or [])
    load_study(out)  # what cannot be run is said here, not by the next command
    names = ("N active", "N total", "D", "D/N", "steps", "rate", "used / budget")
    table = Table(Column("cell", no_wrap=True), *names)
    for cell in planned.cells:
        table.add_row(
            cell.name,
            f"{cell.shape.active_parameters:,}",
            f"{cell.shape.total_parameters:,}",
            f"{cell.tokens:.3g}",
            f"{cell.tokens / cell.shape.active_parameters:.3g}",
            f"{cell.steps:,}",
            f"{cell.learning_rate:.2g}",
            f"{cell.flops / cell.budget_flops:.4f}",
        )
    Console().print(table)
    for warning in planned.warnings:
        print(f"warning: {warning}")
    print(planned.rule)
    print(
        f"{len(planned.cells)} cells, {seeds} seeds each, {seeds * planned.flops:.3g} FLOPs in "
        f"all; the study is {out}: chiasm study run {out}"
    )


@app.command()
def fit(
    table: Annotated[
        str,
        typer.Argument(
            help="A CSV of points or of optima; or paper-dense, paper-moe: the paper's optima."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A folder; without it runs/scaling/ and the table's name.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help='Name a column of the file: --column "active_parameters=Model Size".'),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="A cell to leave out with all its seeds; unnamed cells are 'row 1', ..."),
    ] = None,
    size: Annotated[
        SizeMeasure,
        typer.Option(help="What N is: active parameters, or C / (6·D), a sixth of FLOPs/token."),
    ] = SizeMeasure.PARAMETERS,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Fit scaling laws for each modality, with intervals; writes fit.json, fit.md and figures."""
    folder = out or Path("runs") / "scaling" / Path(table).stem
    _check_folder(folder)
    columns = dict(_renamed(text) for text in column or [])
    found = _fit(table, columns, leave_out or [], size, resamples, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_fit(found, folder / "fit.json")
    (folder / "fit.md").write_text(fit_markdown(found))
    figures = write_figures(found, folder)
    print_fit(found)
    print(f"in {folder}: fit.json, fit.md, {', '.join(path.name for path in figures)}")


@app.command()
def forecast(
    fit: Annotated[Path | None, typer.Argument(help="The fit.json of chiasm scaling fit.")] = None,
    budget: Annotated[str, typer.Option(help="FLOPs, such as 1e21,1e24.")] = "",
    size: Annotated[str, typer.Option(help="Active parameters, such as 1e11,1e12.")] = "1e11,1e12",
    exponents: Annotated[
        list[str] | None,
        typer.Option(help="Instead of a fit: NAME=a/b, such as text=0.47/0.53; repeatable."),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="A known optimum for typed exponents: NAME=FLOPS/PARAMETERS/TOKENS."),
    ] = None,
    method: Annotated[str, typer.Option(help="projection, huber, parabola or optima.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the forecast as JSON.")] = None,
) -> None:
    """Optimal sizes and tokens, growth of the data need, and the price of a shared size."""
    if (fit is None) == (not exponents):
        raise UserError("give either a fit.json or --exponents, such as text=0.47/0.53")
    if out is not None:
        _check_file(out)
    sizes = _numbers("--size", size)
    budgets = _numbers("--budget", budget) if budget else []
    known = read_fit(fit) if fit is not None else None
    if known is not None:
        by_modality = {name: own.estimates for name, own in known.modalities.items()}
    else:
        typed = typed_estimates(exponents or [], anchor or [])
        by_modality = {name: {"typed": estimate} for name, estimate in typed.items()}
    if len(by_modality) == 1 and not budgets:
        raise UserError(
            f"with {next(iter(by_modality))} alone there is no growth to tell; give a second "
            "modality, or --budget (and with --exponents an --anchor)"
        )
    chosen = common_method(by_modality, method)
    estimates = {name: own[chosen] for name, own in by_modality.items()}
    optima = [
        (name, way, optimum(own[way], flops))
        for flops in budgets
        for name, own in by_modality.items()
        for way in ([chosen] if agree(own) else own)
    ]
    growth = list(growth_rows(estimates, sizes))
    cost = known.cost if known is not None else None
    prices = list(price_rows(estimates, cost, budgets)) if cost else []
    of_what = "of the resamples" if exponents is None else "of what the rounding leaves open"
    print(f"by {TITLES[chosen]}; [low, high]: {LEVEL:.0%} {of_what}")
    print_optima(optima, known.size if known is not None else SizeMeasure.PARAMETERS)
    print_growth(growth)
    print_prices(prices)
    beyond = beyond_measured(known, estimates, budgets, sizes) if known is not None else []
    flags = [flag for flag in known.flags if flag.concerns(chosen)] if known is not None else []
    for text in beyond:
        print(text)
    print_flags(flags)
    if out is not None:
        content = {
            "method": chosen,
            "size": known.size if known is not None else SizeMeasure.PARAMETERS,
            "optima": [
                {"modality": name, "method": way, **value_json(value)}
                for name, way, value in optima
            ],
            "growth": [growth_json(row) for row in growth],
            "off_optimum": [
                {"modality": name, "trained_for": other, **value_json(value)}
                for name, other, value in prices
            ],
            "beyond": beyond,
            "flags": [str(flag) for flag in flags],
        }
        out.write_text(json.dumps(content, indent=1) + "\n")


def _fit(
    table: str,
    columns: Mapping[str, str],
    left_out: Sequence[str],
    size: SizeMeasure,
    resamples: int,
    seed: int,
) -> Fit:
    path = Path(table)
    optima = None
    if table in PAPER_MODELS:
        optima = paper_optima(table)
    elif "optimal_parameters" in read_rows(path)[0]:
        optima = read_optima(path)
    if optima is not None:
        if left_out or columns or size is not SizeMeasure.PARAMETERS:
            raise UserError(
                f"{table} holds optima; --column, --leave-out and --size are for tables of runs"
            )
        return fit_optima(optima, source=path.name, resamples=resamples, seed=seed)
    read = read_points(path, columns)
    notes = []
    if read.derived:
        notes.append(
            f"the table has no column {read.derived}: {SIXFOLD[read.derived]} stands for it"
        )
    if left_out:
        notes.append(f"left out: {', '.join(left_out)}")
    return fit_points(
        leave_out_cells(read.points, left_out),
        source=path.name,
        size=size,
        resamples=resamples,
        seed=seed,
        notes=notes,
    )


def _check_folder(folder: Path) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out {folder}: {there} is a file; give a folder")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; make it first")


def _numbers(option: str, text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {text}: write numbers with commas, such as 1e12,3e12") from error
    if not all(0 < value < float("inf") for value in values):
        raise UserError(f"{option} {text}: every number must be above 0")
    return values


def _pair(text: str) -> tuple[float, float]:
    budget, colon, size = text.partition(":")
    if not colon:
        raise UserError(f"--centre {text}: write FLOPS:PARAMETERS, such as 1e12:2e5")
    return _numbers("--centre", budget)[0], _numbers("--centre", size)[0]


def _renamed(text: str) -> tuple[str, str]:
    name, equals, given = text.partition("=")
    if not equals or not given:
        raise UserError(f"--column {text}: write NAME=COLUMN, such as active_parameters=N")
    return name, given
