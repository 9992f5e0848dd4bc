"""chiasm score-benchmark: a picture benchmark's scores in our table, read back or made here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.benchmarks import opened_run
from chiasm.cli.options import Cache, Device
from chiasm.cli.progress import RunDisplay
from chiasm.harness.layouts import beside
from chiasm.report import doc
from chiasm.report.numbers import estimate
from chiasm.report.record import json_text
from chiasm.report.terminal import show
from chiasm.whole import write_whole

COLUMNS = ("score", "value", "items", "prompts")


def score_benchmark(
    out: Annotated[Path, typer.Argument(help="A folder of chiasm draw-benchmark.")],
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="What its scorer wrote; without it, probes score held-out captions."),
    ] = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Read a picture benchmark's scores into our table, with their errors and source.

    They are written to OUT.scores.json as well.

    Examples:

      chiasm score-benchmark pictures/geneval results.jsonl

      chiasm score-benchmark pictures/wise Results-qwen35/*_scores_results.jsonl

      chiasm score-benchmark pictures/world
    """
    # With torch, which a mistyped option need not wait for.
    from chiasm.harness.drawing import Drawn
    from chiasm.harness.scores import read_scores
    from chiasm.harness.world import SCORER, told_prompts, world_results
    from chiasm.inference.pretrained import Pretrained

    drawn = Drawn.of(out)
    scorer = ""
    if not results:
        told_prompts(drawn)  # before anything is rendered
        pretrained = Pretrained.load(drawn.model, device)
        results, scorer = [beside(out, "results.jsonl")], SCORER
        with RunDisplay() as display:
            run = opened_run(Path(drawn.model), pretrained, cache, display)
            write_whole(results[0], world_results(run, drawn, out))
    scores = read_scores(drawn, results, scorer)
    record = {"drawn": drawn, "source": scores.source, "rows": scores.rows}
    write_whole(beside(out, "scores.json"), json_text(record, indent=1))
    rows = [
        (
            row.name,
            estimate(row.value, row.standard_error, unit=row.unit),
            f"{row.num_items:,}",
            f"{row.num_clusters:,}",
        )
        for row in scores.rows
    ]
    show(doc.Table(rows, COLUMNS, unbroken=(1, 2, 3)))
    for name, told in scores.source.items():
        print(f"{name}: {told}")
    print(f"the numbers are in {beside(out, 'scores.json')}")
