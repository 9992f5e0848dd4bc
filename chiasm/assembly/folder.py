"""A run folder: training that resumes where an earlier call was stopped or killed.

A run folder holds

    recipe.toml     the resolved recipe
    data.json       what was found under the sources' paths, with a hash of their content
    versions.json   what the run was started with: versions, machine, threads, command
    threads.json    how many threads its operations had, and from which step on
    inputs/         the text tokenizer and the vision tokenizer that the run reads through
    metrics.jsonl   losses and counts; timing.jsonl what the clock says; tensorboard/ both
    checkpoints/    training state
    stream.json     what was read: shares, skipped and split documents
    model/          the trained model, when the run has ended
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from chiasm.assembly.objects import (
    Inputs,
    Run,
    build_inputs,
    build_run,
    check_feasible,
    open_material,
)
from chiasm.assembly.vision import context_of
from chiasm.data.preparation import Stage, silent
from chiasm.data.source import SourceFacts
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import check_measures
from chiasm.loop.groups import build_optimizer
from chiasm.loop.progress import StepReport
from chiasm.recipe import Recipe, differences, parse_recipe, resolved, write_recipe
from chiasm.stop import Stopped
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.toml import load_toml
from chiasm.training.together import train_together
from chiasm.training.versions import versions
from chiasm.whole import whole, write_json


def train_run(
    recipe: Recipe,
    folder: Path,
    *,
    material: Material | None = None,
    inputs_from: Path | None = None,
    cache_folder: Path | None = None,
    fresh: bool = False,
    command: str = "",
    tell: Callable[[str], None] = print,
    on_stage: Stage = silent,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> None:
    """Trains a recipe in a run folder, resuming where an earlier call was stopped or killed.

    Args:
        recipe: what to train.
        folder: the run folder; made when missing.
        material: the recipe's data when it is already open.
        inputs_from: a folder of :func:`kept_inputs` whose tokenizers the run uses, copied into it,
            instead of making its own.
        cache_folder: where rendered worlds, trained tokenizers and latents are kept.
        fresh: delete the run that the folder holds and begin again.
        command: as the user typed it, for the record.
        tell: receives one line about anything the user should know.
        on_stage: callback for the progress of slow preparations.
        on_step: callback after each step.

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
        cache_folder=cache_folder,
        fresh=fresh,
        command=command,
        tell=tell,
        on_stage=on_stage,
    ) as run:
        run.trainer.run(folder, on_step)
    run.pretrained.save(folder / "model")


def train_runs(
    recipes: Mapping[Path, Recipe],
    *,
    material: Material,
    inputs_from: Path,
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
                runs[folder] = opened.enter_context(
                    _prepared(
                        recipe,
                        folder,
                        material=material,
                        inputs_from=inputs_from,
                        cache_folder=cache_folder,
                        command=command,
                        tell=tell[folder],
                    )
                )
            except UserError as error:
                failed[folder] = error
        failed |= train_together({folder: run.trainer for folder, run in runs.items()})
    for folder in runs.keys() - failed.keys():
        runs[folder].pretrained.save(folder / "model")
    return failed


@contextmanager
def _prepared(
    recipe: Recipe,
    folder: Path,
    *,
    material: Material | None,
    inputs_from: Path | None,
    cache_folder: Path | None,
    fresh: bool = False,
    command: str,
    tell: Callable[[str], None],
    on_stage: Stage = silent,
) -> Iterator[Run]:
    """The run of a folder, whose record says at the end what it has read."""
    with settings_of("training"):
        choose_device(recipe.training.device)
        build_optimizer(nn.Linear(2, 2), recipe.training)  # fails at once, if ever
    check_measures(recipe.evaluation)  # an evaluation hours later would find it missing
    check_feasible(recipe, cache_folder, on_stage)
    recipe_on_disk(recipe, folder, fresh=fresh)
    _record_versions(folder, command, tell)
    material = material or open_material(recipe, cache_folder, on_stage)
    data_on_disk(material.facts, folder, tell)
    write_recipe(recipe, folder / "recipe.toml")  # the data may have been moved
    for name, facts in material.facts.items():
        tell(facts.line(name))
    if inputs_from is not None and not (folder / "inputs").exists():
        with whole(folder / "inputs") as aside:
            shutil.copytree(inputs_from, aside)
    inputs = kept_inputs(recipe, material, folder / "inputs", on_stage, cache_folder)
    run = build_run(recipe, material, inputs, tell, cache_folder)
    with closing(run.stream):
        try:
            yield run
        except Stopped:
            _record_stream(run, material, folder / "stream.json", tell)
            raise
        _record_stream(run, material, folder / "stream.json", tell)


def kept_inputs(
    recipe: Recipe,
    material: Material,
    folder: Path,
    on_stage: Stage = silent,
    cache_folder: Path | None = None,
) -> Inputs:
    """Returns the tokenizers kept in ``folder``; the first call makes them from training data."""
    if folder.exists():
        text_tokenizer = TextTokenizer.load(folder)
        return Inputs(text_tokenizer, _load_tokenizers(recipe, folder))
    on_stage("preparing tokenizers", 0, 1)
    inputs = build_inputs(recipe, material.train, cache_folder, on_stage)
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


def refuse_foreign_folder(folder: Path) -> None:
    """Refuses a folder that is neither new, nor empty, nor a run's.

    Raises:
        UserError: the folder holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give another folder as out (--out)")
    half = folder / "recipe.toml.partial"  # of a run that was killed at once
    if any(path != half for path in folder.glob("*")) and not (folder / "recipe.toml").exists():
        raise UserError(f"{folder} exists and holds no run; give another folder as out (--out)")


def recipe_on_disk(recipe: Recipe, folder: Path, *, fresh: bool) -> None:
    """Makes the run folder and writes the recipe, or checks that the folder holds this very recipe.

    A recipe that nothing was trained from, because its data could not be read, is replaced. So are
    the paths of data that were moved: their content is compared once they are open.

    Raises:
        UserError: the folder holds something else, or a run with other settings.
    """
    refuse_foreign_folder(folder)
    path = folder / "recipe.toml"
    if fresh and path.exists():
        shutil.rmtree(folder)
    if path.exists():
        changed = differences(_read_today(path), resolved(recipe))
        if not changed:
            return
        compared = (folder / "data.json").exists()
        if all(compared and _MOVED.match(line) for line in changed):
            return
        if _has_trained(folder):
            raise UserError(
                f"{folder} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nGo on with its own settings, give another folder as out (--out), or "
                "begin again with fresh (--fresh), which deletes it"
            )
        shutil.rmtree(folder / "inputs", ignore_errors=True)
        (folder / "versions.json").unlink(missing_ok=True)
    write_recipe(recipe, path)


_MOVED = re.compile(r"stream\.sources\.[^.]+\.(held_out_)?path = ")
"""A difference between recipes that does not matter if the data are the same."""


def data_on_disk(
    facts: Mapping[str, SourceFacts], folder: Path, tell: Callable[[str], None] = print
) -> None:
    """Writes hashes of the sources' files beside the run, or checks that the files are unchanged.

    Raises:
        UserError: the folder holds a run that was trained on other data.
    """
    path = folder / "data.json"
    now = {name: found.summary() for name, found in facts.items()}
    changed = changed_data(facts, folder)
    if changed and _has_trained(folder):
        raise UserError(
            f"{folder} holds a run on other data:\n  "
            + "\n  ".join(changed.values())
            + "\nPut the data back as they were, give another folder as out (--out), or "
            "begin again with fresh (--fresh), which deletes it"
        )
    for line in changed.values():
        tell(line)
    if changed:  # tokenizers were made of what the sources held then
        shutil.rmtree(folder / "inputs", ignore_errors=True)
    write_json(path, now)  # half a record would say that nothing has changed


def changed_data(
    facts: Mapping[str, SourceFacts], folder: Path, *, held_out_elsewhere: Container[str] = ()
) -> dict[str, str]:
    """Returns the sources whose files have changed since the run began, each with a message.

    ``held_out_elsewhere``: sources whose held-out files are others on purpose.

    Raises:
        UserError: the run's record of its data is damaged.
    """
    path = folder / "data.json"
    try:
        then = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete it to go on without knowing whether the data "
            "are those that the run began with"
        ) from error
    return {
        name: f"stream.sources.{name}: its data have changed since the run began: "
        f"{then[name]['rows']:,} rows then, {found.rows:,} now"
        for name, found in facts.items()
        if name in then and _differs(then[name], found, held_out=name not in held_out_elsewhere)
    }


def _differs(then: Mapping[str, Any], now: SourceFacts, *, held_out: bool) -> bool:
    held_out_then = then.get("held_out_fingerprint", "")
    return then["fingerprint"] != now.fingerprint or (
        held_out and held_out_then != now.held_out_fingerprint
    )


def _read_today(path: Path) -> dict[str, Any]:
    """Returns a kept recipe as this version resolves it: missing settings are defaults."""
    content = load_toml(path)
    try:
        return resolved(parse_recipe(content))
    except UserError:  # it knew settings that are gone: they are told as differences
        return content


def _has_trained(folder: Path) -> bool:
    """Returns whether the folder holds anything that a training step left."""
    return any((folder / name).exists() for name in ("metrics.jsonl", "checkpoints", "model"))


def _record_versions(folder: Path, command: str, tell: Callable[[str], None]) -> None:
    path, now = folder / "versions.json", versions(command)
    try:
        then = json.loads(path.read_text())
    except (OSError, ValueError):
        write_json(path, now)
        return
    for name in ("torch", "machine"):
        if then.get(name) != now[name]:
            tell(
                f"the run began with {name} {then.get(name)}, here it is {now[name]}: "
                "it goes on, but its last digits may differ from an uninterrupted run's"
            )


def _record_stream(run: Run, material: Material, path: Path, tell: Callable[[str], None]) -> None:
    report = run.stream.report()
    sources = {name: facts.summary() for name, facts in material.facts.items()}
    write_json(path, asdict(report) | {"sources": sources})
    for alarm in report.alarms:
        tell(alarm)
    for what, count in (("skipped", report.skipped), ("longer than a row, split", report.split)):
        for source, documents in count.items():
            if documents:
                tell(f"{source}: {documents} of {report.documents[source]} documents {what}")
