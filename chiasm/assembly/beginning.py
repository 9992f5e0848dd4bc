"""What a run begins with besides random weights: a trained model, or another run's checkpoint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chiasm.assembly.record import changed_data, read_today
from chiasm.data.source import SourceFacts
from chiasm.errors import UserError, settings_of
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.checkpoint import Checkpoints
from chiasm.loop.schedule import learning_rate
from chiasm.recipe import Recipe, differences, parse_recipe, resolved
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.toml import load_toml
from chiasm.whole import whole


@dataclass(frozen=True)
class CommonSteps:
    """The steps that a run has in common with others, which one of them makes for all."""

    origin: Path | None = None
    """A run that makes them for this one."""
    origin_step: int = 0
    kept_steps: frozenset[int] = frozenset()
    """Steps whose checkpoints stay for others."""


OWN_STEPS = CommonSteps()
"""None in common."""


EQUAL = (
    *("seed", "model.", "stream.", "streams.", "tokenizer.", "actions.", "training.frozen"),
    "training.lora",
    *("training.optimizer.kind", "training.ema_decay"),
)
"""Settings, or the beginnings of their names, that a checkpoint's content depends on."""


def opened_beginning(recipe: Recipe, folder: Path) -> Pretrained | None:
    """Returns the model whose weights a new run begins with, if the recipe names one.

    Raises:
        UserError: it cannot be opened, or is of another width or reads its outputs otherwise.
    """
    if recipe.initialize.model is None or _goes_on(folder):
        return None
    with settings_of("initialize"):
        try:
            model = Pretrained.load(recipe.initialize.model)
        except UserError as error:
            raise recipe.initialize.error("model", f"cannot be opened: {error}") from error
        if there := list(_contradictions(recipe, model)):
            why = f"was trained with {', '.join(there)}, and this recipe has other values"
            raise recipe.initialize.error("model", why, "set these as the model has them")
    return model


def _contradictions(recipe: Recipe, model: Pretrained) -> Iterator[str]:
    """Yields settings, with the model's values, by which weights of one cannot serve the other."""
    own, there = recipe.model, model.decoder.settings
    for name, sizes in (
        ("width", (own.width, there.width)),
        ("query_heads", (own.query_heads, there.query_heads)),
        ("key_value_heads", (own.key_value_heads, there.key_value_heads)),
        ("head_width", (own.K, there.K)),
        ("feedforward_width", (own.F, there.F)),
    ):
        if sizes[0] != sizes[1]:
            yield f"model.{name} = {sizes[1]}"
    for name in model.decoder.shapes.generated:
        asked, learned = (flow.of(name).prediction for flow in (recipe.objective, model.flow))
        if name in recipe.streams and asked != learned:
            yield f"objective.prediction = {learned!r}"


def doubt_other_latents(
    beginning: Pretrained, tokenizers: StreamTokenizers, tell: Callable[[str], None]
) -> None:
    """Tells which streams' latents are not those that the model learned to read."""
    for name in tokenizers.keys() & beginning.tokenizers.keys():
        if tokenizers[name].fingerprint != beginning.tokenizers[name].fingerprint:
            tell(
                f"warning: streams.{name} has another tokenizer, or other statistics, than the "
                "model of initialize.model: what it learned of these latents does not hold"
            )


def branched(
    recipe: Recipe,
    facts: Mapping[str, SourceFacts],
    folder: Path,
    tell: Callable[[str], None],
) -> None:
    """Lets a new run go on from a checkpoint of the run that the recipe names.

    Checkpoint, tokenizers, metrics and numbers of threads become those of the new run.

    Raises:
        UserError: there is no such checkpoint, or it is of other data or of another model.
    """
    settings = recipe.initialize
    if settings.branch is None or _goes_on(folder):
        return
    origin = settings.branch
    if not (origin / "recipe.toml").is_file():
        raise UserError(f"initialize.branch: {origin} is no run; name the folder of a run")
    changed = differences(read_today(origin / "recipe.toml"), resolved(recipe))
    if wrong := [line for line in changed if line.startswith(EQUAL)]:
        told = "\n  ".join(wrong)
        why = (
            f"initialize.branch: {origin} is a run with other settings:\n  {told}\nA branch shares "
        )
        raise UserError(f"{why}them: give this run the same")
    if lines := changed_data(facts, origin):
        told = "\n  ".join(lines.values())
        raise UserError(
            f"initialize.branch: {origin} is a run on other data:\n  {told}\nA branch goes on with "
            "the same data"
        )
    step = _chosen_step(recipe, origin)
    _tell_fallen(recipe, origin, step, tell)
    for line in changed:
        if line.startswith(("training.", "objective.")):
            tell(f"a branch: {line}")
    _go_on_from(origin, step, folder)


def begun_with(common: CommonSteps, folder: Path, tell: Callable[[str], None]) -> None:
    """Lets a new run go on from the run that it shares its first steps with, if that has them."""
    origin, step = common.origin, common.origin_step
    if origin is None or _goes_on(folder) or step not in _steps_of(origin):
        return
    tell(f"the first {step} steps are those of {origin}")
    _go_on_from(origin, step, folder)


def _go_on_from(origin: Path, step: int, folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # empty
    shutil.rmtree(folder / "inputs", ignore_errors=True)
    with whole(folder / "inputs") as aside:
        shutil.copytree(origin / "inputs", aside)
    for name in ("metrics.jsonl", "timing.jsonl", "threads.json"):
        if (origin / name).exists():
            shutil.copyfile(origin / name, folder / name)
    name = f"step-{step:07d}"
    with whole(folder / "checkpoints") as aside:
        aside.mkdir()
        shutil.copytree(origin / "checkpoints" / name, aside / name, copy_function=_linked)


def _goes_on(folder: Path) -> bool:
    """Whether a run has checkpoints of its own."""
    return any((folder / "checkpoints").glob("step-" + 7 * "[0-9]"))


def _steps_of(run: Path) -> list[int]:
    """Steps of a run's checkpoints, oldest first."""
    folder = run / "checkpoints"
    return Checkpoints(folder, 1, lambda line: None).steps() if folder.is_dir() else []


def _chosen_step(recipe: Recipe, origin: Path) -> int:
    settings = recipe.initialize
    steps = _steps_of(origin)
    step = settings.branch_step or max(steps, default=0)
    if step not in steps:
        told = ", ".join(map(str, steps)) or "none"
        why = f"is no checkpoint of {origin}; those of its steps are: {told}"
        remedy = "choose one, or keep more with training.keep_checkpoints or keep_every_steps"
        raise settings.error("branch_step", why, remedy).under("initialize")
    if step >= recipe.training.steps:
        raise recipe.error(
            "training.steps",
            f"leaves nothing to do after the {step} steps of {origin}",
            "train for more steps, or branch from an earlier one",
        )
    return step


def _tell_fallen(recipe: Recipe, origin: Path, step: int, tell: Callable[[str], None]) -> None:
    """Tell that the rate of the run had fallen before the step that is branched from."""
    there = parse_recipe(load_toml(origin / "recipe.toml")).training
    rates = [
        learning_rate(each.schedule, 1.0, step - 1, each.steps) for each in (there, recipe.training)
    ]
    if rates[0] < 0.999 * rates[1]:
        tell(
            f"a branch: at step {step} {origin} had {rates[0]:.0%} of its peak learning rate, "
            f"and this run's is {rates[1]:.0%} there: an earlier step would have both the same"
        )


def _linked(source: str, target: str) -> str:
    """Link a file that nobody writes again, or copy it where links are not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
