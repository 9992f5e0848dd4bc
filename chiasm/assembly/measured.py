"""Evaluates a trained run on held-out data, and writes its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.assembly.objects import open_material
from chiasm.assembly.record import changed_data
from chiasm.data.preparation import Stage, silent
from chiasm.data.source import FileSettings, leaks
from chiasm.errors import UserError, joined, setting
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.evaluation import Evaluation
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import check_measures
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe, differences, load_recipe, resolved
from chiasm.report.files import ReportFiles
from chiasm.report.page import Provenance, write_report

_OF_THE_MODEL = (
    *("seed", "actions", "streams", "vision_training", "tokenizer"),
    *("model", "objective", "training"),
)
"""Settings that are fixed once the model is trained."""


def evaluate_run(
    run: Path,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    cache_folder: Path | None = None,
    command: str = "",
    tell: Callable[[str], None] = print,
    on_stage: Stage = silent,
    on_section: Callable[[str, int, int], None] = silent,
) -> tuple[Evaluation, ReportFiles]:
    """Measures a run on held-out data and writes report.html, report.json and overview.png into it.

    Args:
        run: its folder.
        overrides: of settings, as of :func:`chiasm.recipe.load_recipe`.
        cache_folder: where rendered worlds are kept.
        command: as the user typed it, for the record.
        tell: receives one line about anything the user should know.
        on_stage: callback for the progress of slow preparations.
        on_section: callback at the beginning of each section, with their number.

    Raises:
        UserError: there is no such run or it has not ended, an override changes what the model is,
            data that it was trained on would be measured, or the report cannot be written.
    """
    if not run.is_dir():
        raise UserError(f"{run} does not exist; give a run folder")
    trained, recipe = (load_recipe(run / "recipe.toml", own) for own in ((), overrides))
    refuse_another_model(trained, recipe)
    if found := leaks(trained.stream.sources, recipe.stream.sources):
        raise joined(found).under("stream.sources")
    _refuse_untrained(run)
    check_measures(recipe.evaluation)
    material = open_material(recipe, cache_folder, on_stage)
    for name, facts in material.facts.items():
        tell(facts.line(name))
    notes = list(_other_data(trained, recipe, material, run))
    for note in notes:
        tell(note)
    return write_evaluation(
        run, recipe, material, command=command, notes=notes, tell=tell, on_section=on_section
    )


def refuse_another_model(trained: Recipe, asked: Recipe) -> None:
    """Refuses overrides of the model; they may change measures, data or the device."""
    for line in differences(resolved(trained), resolved(asked)):
        name = line.split(" = ")[0]
        settled = name.split(".")[0] in _OF_THE_MODEL or name == "stream.sequence_length"
        if settled and name != "training.device":
            raise UserError(
                f": the run was trained with another value ({line}), and its model is read as it "
                "is",
                setting=name,
                remedy="leave it out, or train a run with it; evaluation.*, stream.*, world.*, "
                "instructions.* and training.device may differ",
            )


def _other_data(trained: Recipe, asked: Recipe, material: Material, run: Path) -> Iterator[str]:
    """Yields notes where the measured data are not those that the run was trained beside.

    Raises:
        UserError: a path names other data to train on, of which a share alone would be measured.
    """
    sources, before_all = _of_files(asked), _of_files(trained)
    elsewhere = {
        name
        for name, source in sources.items()
        if source.held_out_path != before_all.get(name, source).held_out_path
    }
    changed = changed_data(material.facts, run, held_out_elsewhere=elsewhere)
    yield from changed.values()
    for name, source in sources.items():
        before = before_all.get(name, source)
        if source.path != before.path and name in changed:
            raise source.error(
                "path",
                f"holds other data than the run was trained on ({before.path!r})",
                f"to measure on all of it, set {setting('held_out_path')}",
            ).under(f"stream.sources.{name}")
        repeated = material.facts[name].repeated
        if name in elsewhere and repeated:
            yield (
                f"stream.sources.{name}.held_out_path: the run was trained on {repeated:,} "
                "documents that are in it too, and they are measured as well"
            )


def _of_files(recipe: Recipe) -> dict[str, FileSettings]:
    """Returns the sources that read users' files."""
    sources = recipe.stream.sources
    return {name: each for name, each in sources.items() if isinstance(each, FileSettings)}


def write_evaluation(
    folder: Path,
    recipe: Recipe,
    material: Material,
    *,
    into: Path | None = None,
    sections: Collection[str] = (),
    seconds: Mapping[str, float] | None = None,
    command: str,
    notes: Sequence[str] = (),
    tell: Callable[[str], None],
    on_section: Callable[[str, int, int], None],
) -> tuple[Evaluation, ReportFiles]:
    """Evaluates the model of a run folder and writes the report.

    Args:
        folder: of the run.
        recipe: with the settings of the evaluation.
        material: its data, open.
        into: a folder for the report; None: beside the model.
        sections: those that are measured; empty: all.
        seconds: stage → its duration, for the report's account of time.
        command: as the user typed it.
        notes: on the data, for the report.
        tell: receives one line about anything the user should know.
        on_section: callback at the beginning of each section, with their number.

    Raises:
        UserError: the run has no model yet, or the report cannot be written.
    """
    _refuse_untrained(folder)
    pretrained = Pretrained.load(folder, recipe.training.device)
    evaluation = evaluate(pretrained, material, recipe.evaluation, on_section, sections)
    for name, found in evaluation.passed_over.items():
        tell(f"held-out data of source {name!r}: {found}")
    facts = _facts(pretrained, folder) | ({"data": "; ".join(notes)} if notes else {})
    files = write_report(folder, evaluation, Provenance(command, seconds or {}, facts), into)
    return evaluation, files


def _refuse_untrained(folder: Path) -> None:
    if not (folder / "model").is_dir():
        raise UserError(
            f"{folder} has no model yet: its training has not ended. Go on with chiasm train"
        )


def _facts(pretrained: Pretrained, folder: Path) -> dict[str, str]:
    """Returns short facts for the head of the report."""
    parameters = pretrained.decoder.count_parameters()
    facts = {
        "parameters": f"{parameters.total:,}, of which {parameters.active:,} active",
        **{f"tokenizer of {name}": own.name for name, own in pretrained.tokenizers.items()},
    }
    stream = folder / "stream.json"
    if stream.exists():
        positions = json.loads(stream.read_text())["positions"]
        facts["positions read"] = f"{sum(positions.values()):,}"
    return facts
