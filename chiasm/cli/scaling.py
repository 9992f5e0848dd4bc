"""chiasm scaling: plan an IsoFLOP study, fit a table of points, forecast from a fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import check_file, check_folder, numbers
from chiasm.cli.verbs import list_verb
from chiasm.errors import UserError
from chiasm.report.markdown import markdown
from chiasm.report.record import json_text
from chiasm.report.terminal import show
from chiasm.scaling.figures import write_figures
from chiasm.scaling.fit import Fit, fit_points
from chiasm.scaling.forecast import common_method, typed_estimates
from chiasm.scaling.optima import PAPER_MODELS, fit_optima, paper_optima, read_optima
from chiasm.scaling.points import SIXFOLD, read_points, read_rows
from chiasm.scaling.points import leave_out as leave_out_cells
from chiasm.scaling.record import read_fit, write_fit
from chiasm.scaling.report import fit_report, fit_shown, forecast_report
from chiasm.scaling.runs import SizeMeasure
from chiasm.whole import write_whole

app = typer.Typer(help="Scaling laws for each modality.", no_args_is_help=True)

list_verb(
    app,
    "plan",
    "planning",
    "Plan an IsoFLOP study: shapes, learning rates and steps that spend each budget.",
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
        Path | None,
        typer.Option(
            help="A folder; without it runs/scaling/ and the name of the table, or of its folder "
            "where it is a points.csv."
        ),
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
    folder = out or Path("runs") / "scaling" / _name(Path(table))
    check_folder(folder)
    _refuse_other(folder, table)
    columns = dict(_renamed(text) for text in column or [])
    found = _fit(table, columns, leave_out or [], size, resamples, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_fit(found, folder / "fit.json")
    write_whole(folder / "fit.md", markdown(fit_report(found)))
    figures = write_figures(found, folder)
    show(*fit_shown(found))
    print(f"in {folder}: fit.json, fit.md, {', '.join(path.name for path in figures)}")


@app.command()
def forecast(
    fit: Annotated[Path | None, typer.Argument(help="The fit.json of chiasm scaling fit.")] = None,
    budget: Annotated[str, typer.Option(help="FLOPs, such as 1e21,1e24.")] = "",
    size: Annotated[
        str,
        typer.Option(
            help="N, such as 1e11,1e12; without it a hundred and a thousand times the size since "
            "which growth is told."
        ),
    ] = "",
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
        check_file(out)
    given = numbers("--size", size) if size else []
    budgets = numbers("--budget", budget) if budget else []
    known = read_fit(fit) if fit is not None else None
    if known is not None:
        by_modality = {name: own.estimates for name, own in known.modalities.items()}
    else:
        typed = typed_estimates(exponents or [], anchor or [])
        by_modality = {name: {"typed": estimate} for name, estimate in typed.items()}
    if len(by_modality) == 1 and not budgets and not given:
        raise UserError(
            f"with {next(iter(by_modality))} alone there is no growth to tell; give a second "
            "modality, or --budget or --size (and with --exponents an --anchor)"
        )
    if budgets and exponents and not anchor:
        raise UserError(
            "--budget with --exponents needs a known optimum of each modality: --anchor "
            "text=1e21/3.4e9/4.9e10"
        )
    chosen = common_method(by_modality, method)
    report = forecast_report(known, by_modality, chosen, budgets, given)
    show(*report.sections)
    if out is not None:
        out.write_text(json_text(report.record, indent=1))


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
        return fit_optima(optima, source=table, resamples=resamples, seed=seed)
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
        source=table,
        size=size,
        resamples=resamples,
        seed=seed,
        notes=notes,
    )


def _name(table: Path) -> str:
    """Returns the name of a table's fit: the folder of a points.csv, which every study has."""
    return table.resolve().parent.name if table.name == "points.csv" else table.stem


def _refuse_other(folder: Path, table: str) -> None:
    """Refuses a folder that holds the fit of another table."""
    try:
        source = json.loads((folder / "fit.json").read_text())["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if source != table:
        raise UserError(
            f"{folder} holds the fit of {source}; give {table} another folder with --out"
        )


def _renamed(text: str) -> tuple[str, str]:
    name, equals, given = text.partition("=")
    if not equals or not given:
        raise UserError(f"--column {text}: write NAME=COLUMN, such as active_parameters=N")
    return name, given
