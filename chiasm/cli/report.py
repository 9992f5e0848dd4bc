"""chiasm report: the paper's findings beside what was measured here, and the results they need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.paper import judge, load_findings, read_results, write_paper
from chiasm.paper import keep as keep_result
from chiasm.shipped import shipped_files

app = typer.Typer(help="The paper's findings and the kept results.", no_args_is_help=True)

Results = Annotated[Path, typer.Option(help="The folder of kept results.")]

KEPT = Path("docs/results")
"""Where a clone keeps results, from its root."""


@app.command()
def keep(
    folder: Annotated[Path, typer.Argument(help="The folder of a study or of a scaling fit.")],
    results: Results = KEPT,
) -> None:
    """Keep a result as small files, with the machine and commit of every run."""
    print(f"kept in {keep_result(folder, results)}")


@app.command()
def paper(
    results: Annotated[
        Path | None, typer.Option(help="The folder of kept results; without it the package's own.")
    ] = None,
    studies: Annotated[
        Path | None,
        typer.Option(
            help="The folder of studies, which say what was published; without it the package's "
            "own."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("runs/paper"),
) -> None:
    """Write paper.html and paper.json: every finding of the paper, and what was found here."""
    findings = load_findings(studies=studies)
    results = results or shipped_files("docs/results")
    kept = read_results(results)
    if not kept:
        print(f"no results are kept in {results}; every study will be 'not measured yet'")
    judged = judge(findings, kept)
    files = write_paper(findings, judged, kept, out)
    measured = sum(each.agreement != "not measured yet" for each in judged)
    print(f"{measured} of {len(judged)} findings are measured; the page is {files.page}")
