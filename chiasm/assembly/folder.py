"""A run folder: training that resumes where an earlier call was stopped or killed.

A run folder holds

    recipe.toml     the resolved recipe
    data.json       what was found under the sources' paths, with a hash of their content
    versions.json   what the run was started with: versions, machine, threads, command
    threads.json    how many threads its operations had, and from which step on
    inputs/         the text tokenizer and the vision tokenizer that the run reads through
    metrics.jsonl   losses and counts; timing.jsonl what the clock says; tensorboard/ both
    checkpoints/    training state
    tracker.json    where its metrics are sent besides, if anywhere
    stream.json     what was read: shares, skipped and split documents
    model/          the trained model, when the run has ended
    best/, evaluations/   what is written on the way, where the recipe asks (see watch.py)
    trace/          operations of the step that it asks to record
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from torch import nn

from chiasm.assembly.beginning import (
    OWN_STEPS,
    CommonSteps,
    begun_with,
    branched,
    doubt_other_latents,
    opened_beginning,
)
from chiasm.assembly.inputs import Inputs, build_inputs
from chiasm.assembly.objects import (
    Run,
    build_run,
    check_feasible,
    open_material,
)
from chiasm.assembly.record import data_on_disk, recipe_on_disk, record_stream, record_versions
from chiasm.assembly.vision import context_of
from chiasm.assembly.watch import Watch, refuse_unknown_names
from chiasm.data.preparation import Stage, silent
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import check_measures
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.groups import build_optimizer
from chiasm.loop.progress import StepReport
from chiasm.ranks import ALONE, Ranks, agree
from chiasm.recipe import Recipe, leaves, resolved, write_recipe
from chiasm.stop import Stopped
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.together import train_together
from chiasm.training.versions import code_versions
from chiasm.whole import whole


def train_run(
    recipe: Recipe,
    folder: Path,
    *,
    material: Material | None = None,
    inputs_from: Path | None = None,
    common: CommonSteps = OWN_STEPS,
    cache_folder: Path | None = None,
    fresh: bool = False,
    command: str = "",
    tell: Callable[[str], None] = print,
    on_stage: Stage = silent,
    on_step: Callable[[StepReport], None] = lambda report: None,
    ranks: Ranks = ALONE,
) -> None:
    """Trains a recipe in a run folder, resuming where an earlier call was stopped or killed.

    Args:
        recipe: what to train.
        folder: the run folder; made when missing.
        material: the recipe's data when it is already open.
        inputs_from: a folder of :func:`kept_inputs` whose tokenizers the run uses, copied into it,
            instead of making its own.
        common: the steps that it has in common with other runs.
        cache_folder: where rendered worlds, trained tokenizers and latents are kept.
        fresh: delete the run that the folder holds and begin again.
        command: as the user typed it, for the record.
        tell: receives one line about anything the user should know.
        on_stage: callback for the progress of slow preparations.
        on_step: callback after each step.
        ranks: the ranks that train it together, each by a call of its own; all see the folder.

    Raises:
        Stopped: a signal ended the training; its last step is saved.
        UserError: a device or a reference encoder that is not there, a folder that holds something
            else or another recipe's run, data that cannot be opened, and whatever ends the training
            (see :meth:`chiasm.loop.loop.Loop.run`).
    """
    with _prepared(
        recipe,
        folder,
        material=material,
        inputs_from=inputs_from,
        common=common,
        cache_folder=cache_folder,
        fresh=fresh,
        command=command,
        tell=tell,
        on_stage=on_stage,
        ranks=ranks,
    ) as (run, opened):
        watch = Watch(run, folder, opened, command, tell)

        def after_step(report: StepReport) -> None:
            on_step(report)
            watch(report)

        run.trainer.run(folder, after_step)
    run.save_model(folder / "model")


def train_runs(
    recipes: Mapping[Path, Recipe],
    *,
    material: Material,
    inputs_from: Path | None,
    common: Mapping[Path, CommonSteps] | None = None,
    cache_folder: Path | None = None,
    command: str = "",
    tell: Mapping[Path, Callable[[str], None]],
) -> dict[Path, UserError]:
    """Trains recipes that differ by seed in their run folders, as :func:`train_run` trains each.

    Returns what ended those that failed; the others are trained all the same.

    Raises:
        Stopped: a signal ended the training; every run's last step is saved.
    """
    failed, runs = {}, {}
    with ExitStack() as opened:
        for folder, recipe in recipes.items():
            try:
                runs[folder], _ = opened.enter_context(
                    _prepared(
                        recipe,
                        folder,
                        material=material,
                        inputs_from=inputs_from,
                        common=(common or {}).get(folder, OWN_STEPS),
                        cache_folder=cache_folder,
                        command=command,
                        tell=tell[folder],
                    )
                )
            except UserError as error:
                failed[folder] = error
        failed |= train_together({folder: run.trainer for folder, run in runs.items()})
    for folder in runs.keys() - failed.keys():
        runs[folder].save_model(folder / "model")
    return failed


@contextmanager
def _prepared(
    recipe: Recipe,
    folder: Path,
    *,
    material: Material | None,
    inputs_from: Path | None,
    common: CommonSteps,
    cache_folder: Path | None,
    fresh: bool = False,
    command: str,
    tell: Callable[[str], None],
    on_stage: Stage = silent,
    ranks: Ranks = ALONE,
) -> Iterator[tuple[Run, Material]]:
    """The run of a folder, whose record says at the end what it has read, and its open data."""
    with ranks.together():
        _check(recipe)
    ranks.once_per_machine(lambda: check_feasible(recipe, cache_folder, on_stage, ranks))
    agree(ranks, lambda: {**dict(leaves(resolved(recipe))), **code_versions()})
    with ranks.together():
        if ranks.is_first:
            recipe_on_disk(recipe, folder, fresh=fresh)
            record_versions(folder, command, tell)
    material = material or ranks.once_per_machine(
        lambda: open_material(recipe, cache_folder, on_stage)
    )
    facts = material.facts
    agree(ranks, lambda: {"the data": {name: own.summary() for name, own in facts.items()}})
    with ranks.together():
        beginning = opened_beginning(recipe, folder)
    with ranks.together():
        if ranks.is_first:
            data_on_disk(facts, folder, tell)
            branched(recipe, facts, folder, tell)
            begun_with(common, folder, tell)
            write_recipe(recipe, folder / "recipe.toml")  # the data may have been moved
            for name, own in facts.items():
                tell(own.line(name))
            if inputs_from is not None and not (folder / "inputs").exists():
                with whole(folder / "inputs") as aside:
                    shutil.copytree(inputs_from, aside)
            kept_inputs(recipe, material, folder / "inputs", on_stage, cache_folder, beginning)
    with ranks.together():
        _refuse_unseen(folder)
        inputs = kept_inputs(recipe, material, folder / "inputs")
        if beginning is not None:
            doubt_other_latents(beginning, inputs.tokenizers, tell)
    run = build_run(recipe, material, inputs, tell, cache_folder, ranks, beginning)
    run.trainer.kept_steps = common.kept_steps
    with closing(run.stream):
        try:
            yield run, material
        except Stopped:
            record_stream(run, material, folder / "stream.json", tell)
            raise
        record_stream(run, material, folder / "stream.json", tell)


def _check(recipe: Recipe) -> None:
    """Refuses at once what would fail hours later."""
    with settings_of("training"):
        choose_device(recipe.training.device)
        build_optimizer(nn.Linear(2, 2), recipe.training)
    with settings_of("training.tracker"):
        recipe.training.tracker.check()
    check_measures(recipe.evaluation)
    refuse_unknown_names(recipe)


def _refuse_unseen(folder: Path) -> None:
    if not (folder / "inputs").exists():
        raise UserError(
            f"{folder} is not what rank 0 writes to: all ranks must see the same run folder",
            remedy="give a folder on a file system that all machines share as out (--out)",
        )


def kept_inputs(
    recipe: Recipe,
    material: Material,
    folder: Path,
    on_stage: Stage = silent,
    cache_folder: Path | None = None,
    beginning: Pretrained | None = None,
) -> Inputs:
    """Returns the tokenizers kept in ``folder``; the first call makes them from training data."""
    if folder.exists():
        text_tokenizer = TextTokenizer.load(folder)
        return Inputs(text_tokenizer, _load_tokenizers(recipe, folder))
    on_stage("preparing tokenizers", 0, 1)
    inputs = build_inputs(recipe, material.train, cache_folder, on_stage, beginning)
    with whole(folder) as aside:
        inputs.text_tokenizer.save(aside)
        for name, tokenizer in inputs.tokenizers.items():
            save_tokenizer(tokenizer, aside / "streams" / name)
    on_stage("preparing tokenizers", 1, 1)
    # Read back, so that the first call uses exactly what later ones will.
    return kept_inputs(recipe, material, folder, on_stage, cache_folder)


def _load_tokenizers(recipe: Recipe, folder: Path) -> StreamTokenizers:
    return StreamTokenizers(
        {name: load_tokenizer(folder / "streams" / name) for name in recipe.streams},
        context_of(recipe),
    )
