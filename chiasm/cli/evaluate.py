"""chiasm evaluate: measure a trained run on held-out data and write its report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import check_run
from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_recipe
from chiasm.report.terminal import show


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder whose training has ended.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting, as in --set evaluation.drawings=400."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Measure a run on held-out data; writes report.html, report.json and overview.png into it.

    An earlier report with other settings or numbers is kept, as report-1.html and so on.
    """
    check_run(run)
    load_recipe(run / "recipe.toml", set_ or [])
    # Imports torch: mistakes in overrides are reported before.
    from chiasm.assembly.measured import evaluate_run
    from chiasm.report.page import headlines, not_measured

    with RunDisplay() as display:
        evaluation, files = evaluate_run(
            run,
            set_ or [],
            cache_folder=cache,
            command=shlex.join(["chiasm", *sys.argv[1:]]),
            tell=display.tell,
            on_stage=display.on_stage,
            on_section=display.on_section,
        )
        display.end_sections()
    show(headlines(evaluation), not_measured(evaluation))
    print(f"the report is {files.page}")
