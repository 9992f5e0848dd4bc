"""chiasm evaluate: measure a trained run on held-out data and write its report."""

from __future__ import annotations

from typing import Annotated

from chiasm.cli.options import Cache, EndedRun, check_run, command, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.recipe import load_recipe
from chiasm.report.terminal import show


def evaluate(
    run: EndedRun,
    set_: Annotated[list[str] | None, overrides("evaluation.drawings=400")] = None,
    cache: Cache = None,
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
            command=command(),
            tell=display.tell,
            on_stage=display.on_stage,
            on_section=display.on_section,
        )
        display.end_sections()
    show(headlines(evaluation), not_measured(evaluation))
    print(f"the report is {files.page}")
