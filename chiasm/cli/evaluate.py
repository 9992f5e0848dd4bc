"""chiasm evaluate: measure a trained run on held-out data and write its report."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from chiasm.assembly import changed_data, open_material
from chiasm.cli.options import check_run
from chiasm.cli.progress import RunDisplay
from chiasm.data.source import FileSettings, leaks
from chiasm.errors import UserError, joined, setting, settings_of
from chiasm.evaluation.evaluate import evaluate as evaluate_model
from chiasm.evaluation.material import Material
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe, differences, load_recipe, resolved
from chiasm.report.files import ReportFiles
from chiasm.report.page import Provenance, write_report
from chiasm.worldmodel.lpips import refuse_missing_weights

_OF_THE_MODEL = (
    *("seed", "actions", "streams", "vision_training", "tokenizer"),
    *("model", "objective", "training"),
)
"""Settings that are settled when the model is trained."""


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder whose training has ended.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting, as in --set evaluation.drawings=400."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Measure a run on held-out data; writes report.html, report.json and overview.png into it.

    An earlier report with other settings or numbers is kept, as report-1.html and so on.
    """
    check_run(run)
    trained, recipe = load_recipe(run / "recipe.toml"), load_recipe(run / "recipe.toml", set_ or [])
    refuse_another_model(trained, recipe)
    if found := leaks(trained.stream.sources, recipe.stream.sources):
        raise joined(found).under("stream.sources")
    _refuse_untrained(run)
    if recipe.evaluation.plans:
        with settings_of("evaluation.planner"):
            refuse_missing_weights(recipe.evaluation.planner)
    command = shlex.join(["chiasm", *sys.argv[1:]])
    with RunDisplay(recipe.training.steps) as display:
        material = open_material(recipe, cache, display.on_stage)
        for name, facts in material.facts.items():
            display.tell(facts.line(name))
        notes = list(_other_data(trained, recipe, material, run))
        for note in notes:
            display.tell(note)
        files = evaluate_run(run, recipe, material, display, {}, command, notes)
    print(f"the report is {files.page}")


def refuse_another_model(trained: Recipe, asked: Recipe) -> None:
    """Overrides may ask for other measures, other data or another device."""
    for line in differences(resolved(trained), resolved(asked)):
        name = line.split(" = ")[0]
        settled = name.split(".")[0] in _OF_THE_MODEL or name == "stream.row_positions"
        if settled and name != "training.device":
            raise UserError(
                f"--set {setting(name)}: the run was trained with another value ({line}), and its "
                "model is read as it is. Leave it out, or train a run with it; it may set "
                "evaluation.*, stream.*, world.*, instructions.* and training.device",
                setting=name,
            )


def _other_data(trained: Recipe, asked: Recipe, material: Material, run: Path) -> Iterator[str]:
    """What the user should know where other data are measured than the run was trained beside.

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
    """The sources that read users' files."""
    sources = recipe.stream.sources
    return {name: each for name, each in sources.items() if isinstance(each, FileSettings)}


def evaluate_run(
    folder: Path,
    recipe: Recipe,
    material: Material,
    display: RunDisplay,
    seconds: Mapping[str, float],
    command: str,
    notes: Sequence[str] = (),
) -> ReportFiles:
    """Evaluate the model of a run folder and write the report beside it.

    Args:
        seconds: stage → how long it took, for the report's account of time.
        command: what the user typed.
        notes: what a reader of the report must know of the data.

    Raises:
        UserError: the run has no model yet, or the report cannot be written.
    """
    _refuse_untrained(folder)
    pretrained = Pretrained.load(folder, recipe.training.device)
    evaluation = evaluate_model(pretrained, material, recipe.evaluation, display.on_section)
    display.end_sections()
    for name, found in evaluation.passed_over.items():
        display.tell(f"held-out data of source {name!r}: {found}")
    facts = _facts(pretrained, folder) | ({"data": "; ".join(notes)} if notes else {})
    spent = {**seconds, **{f"evaluation: {k}": v for k, v in evaluation.seconds.items()}}
    return write_report(folder, evaluation, Provenance(command, spent, facts))


def _refuse_untrained(folder: Path) -> None:
    if not (folder / "model").is_dir():
        raise UserError(
            f"{folder} has no model yet: its training has not ended. Go on with chiasm train"
        )


def _facts(pretrained: Pretrained, folder: Path) -> dict[str, str]:
    """Short facts for the head of the report."""
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
