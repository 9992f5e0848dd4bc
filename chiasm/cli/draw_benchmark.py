"""chiasm draw-benchmark: draw the prompts of a picture benchmark into the folder that it scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.benchmarks import opened_run
from chiasm.cli.options import Cache, Device, Trained, only, with_settings
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.harness.layouts import beside, layout_of
from chiasm.inference.request import SamplingSettings
from chiasm.rgb import oriented_size
from chiasm.whole import write_whole

DEFAULTS = SamplingSettings()
WORLD = "world"


@with_settings
def draw_benchmark(
    run: Trained,
    name: Annotated[
        str, typer.Argument(help="geneval, geneval2, dpg-bench, wise or t2i-compbench.")
    ],
    prompts: Annotated[
        str,
        typer.Argument(
            help="Its own file or folder of prompts; or world: held-out captions of the run, for "
            "geneval."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder that its scorer reads.")],
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures of each prompt; without it as published numbers have."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise; picture n has it + n.")] = 0,
    settings: Annotated[
        SamplingSettings,
        only("solver", "guidance", "aspect", "batch_size", steps="solver_steps"),
    ] = DEFAULTS,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Draw the prompts of GenEval, GenEval 2, DPG-Bench, WISE or T2I-CompBench.

    Pictures that are there are not drawn again: a call that was stopped is repeated as it was.
    What was drawn, and with what, is told in OUT.json beside the folder.

    Examples:

      chiasm draw-benchmark RUN geneval prompts/evaluation_metadata.jsonl pictures/geneval

      chiasm draw-benchmark RUN dpg-bench dpg_bench/prompts pictures/dpg --guidance 4

      chiasm draw-benchmark RUN geneval world pictures/world --samples 1
    """
    from_world = prompts == WORLD
    if from_world and name != "geneval":
        raise UserError(f"{WORLD}: held-out captions are drawn as those of geneval, not of {name}")
    layout = layout_of(name)
    path = beside(out, "prompts.jsonl") if from_world else Path(prompts)
    if not from_world:
        layout.read(path)  # a mistake need not wait for torch
    from chiasm.harness.drawing import Drawn, draw_pictures, prompts_sha256
    from chiasm.harness.world import world_prompts
    from chiasm.inference.pretrained import Pretrained
    from chiasm.tokenizers.parts import hash_weights

    pretrained = Pretrained.load(run, device)
    with RunDisplay() as display:
        if from_world:
            lines = world_prompts(opened_run(Path(run), pretrained, cache, display))
            write_whole(path, lines)
        asked = layout.read(path)
        drawn = Drawn(
            benchmark=name,
            layout=layout.home,
            prompts=str(path),
            prompts_sha256=prompts_sha256(asked),
            num_prompts=len(asked),
            samples=samples or layout.samples,
            seed=seed,
            model=run,
            weights_sha256=hash_weights(pretrained.decoder),
            sampling=settings,
        )
        files = draw_pictures(pretrained, drawn, asked, out, display.on_stage)
    print(f"{len(files)} files of {len(asked)} prompts are in {out}, told of in {beside(out)}")
    width, _ = oriented_size(out / files[0].path)
    score = f"chiasm score-benchmark {out}"
    if not from_world:
        side = width // math.isqrt(len(files[0].pictures))
        told = {"out": out, "prompts": path, "samples": drawn.samples, "side": side}
        print(f"score them, in {layout.home}, by\n  {layout.scored_by.format(**told)}")
        score += " RESULTS"
    print(f"then read the scores by\n  {score}")
