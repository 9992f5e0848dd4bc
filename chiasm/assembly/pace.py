"""How fast a recipe trains on this machine."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median

from chiasm.assembly.inputs import Inputs, build_inputs
from chiasm.assembly.objects import build_run
from chiasm.data.stream import PREFETCHED_BATCHES
from chiasm.device import deterministic_on_cpu
from chiasm.evaluation.material import Material
from chiasm.recipe import Recipe


def seconds_per_step(
    recipe: Recipe,
    material: Material,
    *,
    inputs: Inputs | None = None,
    threads: int | None = None,
    warmup_steps: int = 3,
    steps: int = 12,
    cache_folder: Path | None = None,
) -> float:
    """Returns the median time of a training step on this machine, to choose a number of steps by.

    With ``threads`` threads, or as many as a training that begins now would take. Validation and
    checkpoints come on top; no model is kept, and nothing is written but kept latents.
    """
    inputs = inputs or build_inputs(recipe, material.train)
    run = build_run(recipe, material, inputs, lambda line: None, cache_folder)
    # Most steps of a training find their latents: those of these steps are kept beforehand.
    with closing(run.stream) as read:
        for _ in islice(read, warmup_steps + steps + PREFETCHED_BATCHES):
            pass
    run = build_run(recipe, material, inputs, lambda line: None, cache_folder)
    trainer = run.trainer
    try:
        with (
            deterministic_on_cpu(trainer.device),
            trainer.threads(None, threads).in_use(0),
        ):
            seconds = [trainer.step().timing["seconds"] for _ in range(warmup_steps + steps)]
    finally:
        run.stream.close()
    return median(seconds[warmup_steps:])
