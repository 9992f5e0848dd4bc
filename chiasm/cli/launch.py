"""chiasm launch: pretrain from a recipe as a job of a Slurm cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import Cache, Partition, RecipeFile, Sbatch, Time, overrides
from chiasm.errors import UserError
from chiasm.recipe import load_recipe, write_recipe
from chiasm.slurm import Resources, SlurmJob, queued


def launch(
    recipe: RecipeFile,
    out: Annotated[
        Path | None, typer.Option(help="The run folder; without it runs/ and the recipe's name.")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    ranks_per_node: Annotated[
        int, typer.Option(min=1, help="Processes of each machine: one for each of its devices.")
    ] = 1,
    partition: Partition = None,
    time: Time = None,
    sbatch: Sbatch = None,
    set_: Annotated[list[str] | None, overrides("model.width=256")] = None,
    cache: Cache = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the job's script and do nothing.")
    ] = False,
) -> None:
    """Train a recipe as a job of a Slurm cluster, which goes on by itself after an interruption."""
    resources = Resources(nodes, ranks_per_node, partition, time, tuple(sbatch or ()))
    settings = load_recipe(recipe, set_ or [])
    run = out or Path("runs") / settings.name
    folder, log = run / "slurm", run / "slurm" / "log.txt"
    kept = folder.absolute() / "recipe.toml"  # what is edited while the job waits is not for it
    words = ["train", str(kept), "--out", str(run.absolute())]
    words += ["--cache", str(cache.absolute())] if cache else []
    job = SlurmJob(settings.name, words, folder, log, resources)
    if dry_run:
        print(job.script(), end="")
        return
    _refuse_second(job, run)
    from chiasm.assembly.record import recipe_on_disk  # imports torch

    recipe_on_disk(settings, run, fresh=False)
    write_recipe(settings, kept)
    number = job.submit()
    print(_TOLD.format(number=number, script=job.path, log=log))


_TOLD = """\
job {number} is in the queue: {script}
its log: {log}
  squeue --jobs={number}         where it stands
  scancel --signal=INT {number}  lets it finish its step, save and end
  scancel {number}               ends it at once, or before it has begun
Pre-empted, or near its time limit, it saves, queues again and goes on by itself. After any other
end the same command goes on from the last checkpoint."""


def _refuse_second(job: SlurmJob, run: Path) -> None:
    """Refuses a run whose last job is still there; without Slurm nothing is written either."""
    if job.last in queued():
        raise UserError(
            f"job {job.last} trains {run} or waits to do so",
            remedy=f"scancel {job.last} ends it",
        )
