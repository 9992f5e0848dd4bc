"""One cell: train, measure, and write the results.

A cell's folder is all that its process needs, so that any launcher can start it:

    cell.json     the order: name, seed, where the tokenizers lie, what to measure
    recipe.toml   the resolved recipe
    run/          the run folder; its checkpoints go when the cell is finished, its model stays
    log.txt       output of the process
    result.json   metrics, counts, versions: the cell is finished
    failed.json   why the last attempt ended otherwise, written by the runner

Every step resumes where an earlier process was killed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from chiasm.assembly import CommonSteps, train_run, train_runs
from chiasm.data.reading import ReadingLog
from chiasm.data.tokenizer import TextTokenizer
from chiasm.errors import UserError
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Items, Material
from chiasm.evaluation.settings import TABLE, EvaluationSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import Recipe, load_recipe, write_recipe
from chiasm.report.page import Provenance, write_report
from chiasm.settings import Settings
from chiasm.studies.branches import Branch
from chiasm.studies.cells import Cell, content_hash
from chiasm.studies.held_out import fingerprint, open_held_out
from chiasm.studies.measures import measure, refuse_lossy
from chiasm.studies.opened import Opened
from chiasm.studies.settings import HELD_OUT, HeldOutSettings, MetricSettings, StudySettings
from chiasm.studies.shared import if_free, only_process, tokenizer_fingerprint
from chiasm.training.together import trains_faster_together
from chiasm.training.versions import versions
from chiasm.whole import write_json

CLOCK, FAILED = "training_seconds.json", "failed.json"


class Order(Settings):
    """The work of a cell's process."""

    study: str
    title: str
    """The cell and its seed."""
    key: str
    """The cell's content hash."""
    inputs: Path
    """The folder of the tokenizers."""
    held_out: dict[str, Annotated[HeldOutSettings, HELD_OUT]]
    held_out_data: dict[str, str] = Field(default_factory=dict)
    """Hash of what the users' files among them hold, by path."""
    metrics: tuple[MetricSettings, ...]
    evaluation: Annotated[EvaluationSettings, TABLE]
    """Sizes, seed and noise levels of what is measured; the cell's hash leaves them out."""
    beside: tuple[str, ...] = ()
    """Keys of the cells that train with it, if they are not trained."""
    trunk: str = ""
    """Key of the cell whose first steps are its own as well; empty: none."""
    trunk_step: int = 0
    """How many of them."""
    kept_steps: tuple[int, ...] = ()
    """Steps after which others leave it: their checkpoints stay until the study's runner has run
    those."""

    @classmethod
    def of(
        cls,
        study: StudySettings,
        cell: Cell,
        inputs_folder: Path,
        beside: Iterable[str] = (),
        branch: Branch | None = None,
        kept_steps: Iterable[int] = (),
    ) -> Order:
        """Returns the order for a cell of a study."""
        return cls(
            study=study.name,
            title=cell.title,
            key=cell.key,
            inputs=inputs_folder.resolve(),
            held_out=study.held_out,
            held_out_data=dict(cell.held_out_data),
            metrics=study.metrics,
            evaluation=cell.recipe.evaluation,
            beside=tuple(beside),
            trunk=branch.trunk if branch else "",
            trunk_step=branch.step if branch else 0,
            kept_steps=tuple(kept_steps),
        )

    def common(self, folder: Path) -> CommonSteps:
        """Returns the steps that it has in common with other cells, beside its own folder."""
        origin = folder.parent / self.trunk / "run" if self.trunk else None
        return CommonSteps(origin, self.trunk_step, frozenset(self.kept_steps))

    @property
    def measures_key(self) -> str:
        """Hash of what is measured: a finished cell that lacks it is measured again."""
        dump = self.model_dump(mode="json")
        parts = [dump["held_out"], dump["metrics"], dump["evaluation"]]
        return content_hash(parts + [dump["held_out_data"]] * bool(self.held_out_data))


@dataclass(frozen=True)
class Result:
    """The results of a finished cell."""

    key: str
    measures_key: str
    metrics: Mapping[str, Mapping[str, Any]]
    """Name → value, standard_error, unit."""
    tokens: int
    flops: int
    seconds: Mapping[str, float]
    """Seconds of training and measuring. Training that was stopped is included; training that was
    killed is not.
    """
    validation: str
    """Fingerprint of the held-out documents."""
    tokenizer: str
    """Fingerprint of the text and the vision tokenizers."""
    versions: Mapping[str, Any]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Held-out source → what of it could not be used."""

    @classmethod
    def read(cls, folder: Path) -> Result | None:
        """Returns the result in a cell's folder; None where the cell is not finished."""
        try:
            return cls(**json.loads((folder / "result.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None


def write_order(cell: Cell, folder: Path, order: Order) -> Order:
    """Makes a cell's folder, or updates the measures in it, and returns its order."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "cell.json", order.model_dump(mode="json"))
    if not (folder / "recipe.toml").exists():
        write_recipe(cell.recipe, folder / "recipe.toml")
    return order


def read_order(folder: Path) -> Order:
    """Returns the order in a cell's folder.

    Raises:
        UserError: the folder holds none.
    """
    try:
        return Order.model_validate_json((folder / "cell.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} is no cell of a study: it has no readable cell.json; chiasm study run "
            "makes the cells"
        ) from error


def run_cell(
    folder: Path,
    *,
    opened: Opened | None = None,
    command: str = "",
    tell: Callable[[str], None] = print,
) -> None:
    """Trains and measures the cell of a folder; ``opened`` may have its data open.

    Cells that its order names beside it are trained too, and left to be measured.

    Raises:
        Stopped: a signal ended the training; its last step is saved.
        UserError: whatever ends the training or the measuring.
    """
    recipe = load_recipe(folder / "recipe.toml")  # first: it imports what an order may name
    order = read_order(folder)
    run = folder / "run"
    opened = opened or Opened()
    with only_process(folder):
        material = opened.material(recipe)
        log = ReadingLog()
        held_out = open_held_out(recipe, order.held_out, opened, log)
        passed_over = {name: str(found) for name, found in log.passed_over().items()}
        for name, found in passed_over.items():
            tell(f"held_out.{name}: {found}")
        inputs = run / "inputs" if (run / "inputs").is_dir() else order.inputs
        refuse_lossy(order.metrics, held_out, TextTokenizer.load(inputs))
        if not (run / "model").is_dir():
            _train(folder, order, material, opened.cache_folder, command, tell)
        began = time.monotonic()
        result = _measured(order, recipe, material, held_out, run, command)
        seconds = {"training": _trained_seconds(folder), "measuring": time.monotonic() - began}
        write_json(
            folder / "result.json", {**result, "seconds": seconds, "passed_over": passed_over}
        )
        remove_checkpoints(folder, set(order.kept_steps))


def remove_checkpoints(folder: Path, kept_steps: Collection[int] = ()) -> None:
    """Removes the checkpoints of a trained cell, but for those that others begin with."""
    checkpoints = folder / "run" / "checkpoints"
    kept = {checkpoint(folder, step).name for step in kept_steps}
    for path in checkpoints.iterdir() if checkpoints.is_dir() else ():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    if not kept:
        shutil.rmtree(checkpoints, ignore_errors=True)


def checkpoint(folder: Path, step: int) -> Path:
    """Returns where a cell's checkpoint after so many steps is, or would be."""
    return folder / "run" / "checkpoints" / f"step-{step:07d}"


def _train(
    folder: Path,
    order: Order,
    material: Material,
    cache_folder: Path | None,
    command: str,
    tell: Callable[[str], None],
) -> None:
    """Trains a cell, and those beside it that have neither a model nor failed nor another process.

    One of those that fails now will fail again by itself.
    """
    began, recipe = time.monotonic(), load_recipe(folder / "recipe.toml")
    together = trains_faster_together(recipe.model, recipe.training)
    with ExitStack() as held:
        folders = [folder]
        for own in (folder.parent / key for key in order.beside if together):
            free = (own / "recipe.toml").exists() and held.enter_context(if_free(own))
            if free and not (own / "run" / "model").exists() and not (own / FAILED).exists():
                folders.append(own)
        before = [_trained_seconds(own) for own in folders]
        inputs = None if recipe.initialize.model else order.inputs  # a model brings its own
        given: dict[str, Any] = {"material": material, "inputs_from": inputs}
        given |= {"cache_folder": cache_folder, "command": command}
        try:
            if len(folders) == 1:
                train_run(recipe, folder / "run", common=order.common(folder), tell=tell, **given)
                return
            recipes = {own / "run": load_recipe(own / "recipe.toml") for own in folders}
            given["common"] = {own / "run": read_order(own).common(own) for own in folders}
            tells = {
                run: (lambda line, seed=own.seed: tell(f"seed {seed}: {line}"))
                for run, own in recipes.items()
            }
            tell(f"{len(folders)} seeds train together")
            failed = train_runs(recipes, tell=tells, **given)
        finally:
            seconds = (time.monotonic() - began) / len(folders)
            for own, earlier in zip(folders, before, strict=True):
                (own / CLOCK).write_text(json.dumps(earlier + seconds))
    for run, error in failed.items():
        if run == folder / "run":
            raise error
        tells[run](f"its training ended, and will be tried once more alone: {error}")


def _trained_seconds(folder: Path) -> float:
    clock = folder / CLOCK
    return float(json.loads(clock.read_text())) if clock.exists() else 0.0


def _measured(
    order: Order,
    recipe: Recipe,
    material: Material,
    held_out: Mapping[str, Items],
    run: Path,
    command: str,
) -> dict[str, Any]:
    pretrained = Pretrained.load(run, recipe.training.device)
    if any(metric.report for metric in order.metrics) and not _is_evaluated(run, order):
        evaluation = evaluate(pretrained, material, order.evaluation)
        write_report(run, evaluation, Provenance(command, evaluation.seconds, {}))
    values = measure(order.metrics, pretrained, held_out, run, order.evaluation)
    last = [line for line in read_metrics(run / "metrics.jsonl") if line["phase"] == "train"][-1]
    return {
        "key": order.key,
        "measures_key": order.measures_key,
        "metrics": {name: asdict(value) for name, value in values.items()},
        "tokens": last["tokens"],
        "flops": last["flops"],
        "validation": fingerprint(held_out) if held_out else _own_validation(recipe),
        "tokenizer": tokenizer_fingerprint(run / "inputs"),
        "versions": versions(command),
    }


def _is_evaluated(run: Path, order: Order) -> bool:
    """Returns whether the run has a report of this very evaluation."""
    try:
        settings = json.loads((run / "report.json").read_text())["settings"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(settings == order.evaluation.model_dump(mode="json"))


def _own_validation(recipe: Recipe) -> str:
    """Returns a hash of what the rows of the run's own validation depend on."""
    stream, training = recipe.stream, recipe.training
    weights = {name: source.model_dump() for name, source in stream.sources.items()}
    rows = [stream.sequence_length, stream.batch_size, stream.lanes, training.validation_batches]
    return content_hash([recipe.world.model_dump(mode="json"), weights, rows])
