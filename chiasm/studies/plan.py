"""The cost of a study, and whether its cells are equal in what they should be equal in.

A cell's tokens and FLOPs are counted, not guessed (:mod:`chiasm.studies.step`): the first rows of
its own stream are packed, the model's modules count what those cost from their shapes and the
mask's own pairs, and the rest of the run is assumed to be alike. Time is that of training steps
measured on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chiasm.assembly import seconds_per_step
from chiasm.data.preparation import Stage, silent
from chiasm.errors import UserError
from chiasm.scaling.checks import FLOPS_WITHIN
from chiasm.studies.cells import Cell, content_hash
from chiasm.studies.settings import EQUAL_SECONDS_WITHIN, EQUAL_WITHIN, StudySettings
from chiasm.studies.shapes import count_shape
from chiasm.studies.shared import Shared
from chiasm.studies.step import Step, batches_of_run, count_step
from chiasm.whole import write_json


@dataclass(frozen=True)
class Cost:
    """The cost of one run, forward and backward."""

    steps: int
    flops: float
    tokens: float
    """Positions that are not padding."""
    text_tokens: float
    """Positions that hold text or a mark around an image."""
    vision_tokens: float
    """Positions that hold a latent token."""
    source_tokens: Mapping[str, float]
    """Positions of each source."""
    active_parameters: int
    total_parameters: int
    seconds: float | None = None
    """Training time from measured steps; None: not measured."""
    threads: int | None = None
    """Number of threads that the steps were measured with."""


Costs = Mapping[str, Cost]
"""Costs by the content hash of the cell."""


def plan_study(
    cells: Sequence[Cell],
    shared: Shared,
    *,
    threads: int | None = None,
    on_stage: Stage = silent,
) -> dict[str, Cost]:
    """Returns the cost of every cell; earlier counts and times are read from the study's folder.

    Args:
        cells: of the study.
        shared: their tokenizers and data.
        threads: measure steps with this many threads; None measures no time.
        on_stage: callback for progress.
    """
    known = read_costs(shared.folder)
    steps_of_stream: dict[str, Step] = {}
    seconds_of_name: dict[str, float] = {}  # other seeds of a cell take as long
    for number, cell in enumerate(cells):
        on_stage("counting cells", number, len(cells))
        cost = known.get(cell.key) or _count(cell, shared, steps_of_stream)
        if threads not in (None, cost.threads):
            seconds = seconds_of_name.get(cell.name)
            if seconds is None:
                seconds = cost.steps * _step_seconds(cell, shared, threads)
            seconds_of_name[cell.name] = seconds
            cost = replace(cost, seconds=seconds, threads=threads)
        known[cell.key] = cost
    on_stage("counting cells", len(cells), len(cells))
    write_json(shared.folder / "plan.json", {key: asdict(cost) for key, cost in known.items()})
    return {cell.key: known[cell.key] for cell in cells}


def read_costs(folder: Path) -> dict[str, Cost]:
    """Returns the costs that a study's folder keeps from before."""
    try:
        found = json.loads((folder / "plan.json").read_text())
        return {key: Cost(**cost) for key, cost in found.items()}
    except (OSError, ValueError, TypeError):  # a new study, or another version's file
        return {}


def _count(cell: Cell, shared: Shared, steps_of_stream: dict[str, Step]) -> Cost:
    """Returns tokens, FLOPs and parameters of one cell, untrained; streams are packed once."""
    recipe = cell.recipe
    batches = batches_of_run(recipe)
    settings = [recipe.stream.model_dump(mode="json"), recipe.training.gradient_accumulation_steps]
    stream = content_hash([*settings, recipe.seed, batches, cell.inputs_key])
    if stream not in steps_of_stream:
        sources, inputs = shared.material(cell).train, shared.inputs(cell)
        steps_of_stream[stream] = count_step(recipe, sources, inputs, batches)
    step = steps_of_stream[stream]
    shape, share = count_shape(recipe.model, step), step.share(recipe.training.steps)
    return Cost(
        steps=recipe.training.steps,
        flops=shape.step_flops * recipe.training.steps,
        tokens=share * step.positions,
        text_tokens=share * step.modality_positions["text"],
        vision_tokens=share * step.modality_positions.get("vision", 0),
        source_tokens={name: share * n for name, n in step.source_positions.items()},
        active_parameters=shape.active_parameters,
        total_parameters=shape.total_parameters,
    )


def refuse_unequal(study: StudySettings, cells: Sequence[Cell], costs: Costs) -> None:
    """Refuses cells that differ in what the study declares equal, each budget by itself.

    Raises:
        UserError: the message has every cell's number, and the steps that would make them equal.
    """
    if study.equal is None:
        return
    named = {cell.name: cell for cell in reversed(cells)}
    for budget in dict.fromkeys(cell.budget_flops for cell in cells):
        group = [cell for cell in reversed(named.values()) if cell.budget_flops == budget]
        _refuse_group(study, {cell.name: costs[cell.key] for cell in group})


def refuse_off_budget(study: StudySettings, cells: Sequence[Cell], costs: Costs) -> None:
    """Refuses IsoFLOP cells that miss their budget by more than a fit accepts.

    What the cells read is counted, not averaged over the stream.

    Raises:
        UserError: the message has the steps that would spend each budget.
    """
    lines = []
    for cell in cells:
        cost, budget = costs[cell.key], cell.budget_flops
        if budget is not None and abs(cost.flops / budget - 1) > FLOPS_WITHIN:
            lines.append(
                f"  {cell.title}: {cost.flops:.4g} of {budget:.4g} FLOPs; training.steps = "
                f"{round(cost.steps * budget / cost.flops)} would spend them"
            )
    if lines:
        raise UserError(
            f"study {study.name}: cells miss their budget_flops by more than {FLOPS_WITHIN:.0%}:\n"
            + "\n".join(lines)
            + "\nShort runs read rows that differ from the average; change their steps, or plan "
            "larger budgets or smaller batches"
        )


def _refuse_group(study: StudySettings, costs: Costs) -> None:
    what, amount_of = quantity(study)
    amounts = {name: amount_of(cost) for name, cost in costs.items()}
    first, wanted = next(iter(amounts.items()))
    within = EQUAL_SECONDS_WITHIN if study.equal == "wall_clock" else EQUAL_WITHIN
    wrong = [
        name
        for name, amount in amounts.items()
        if abs(amount - wanted) > max(within * wanted, _of_one_step(study, costs[name], amount))
    ]
    if not wrong:
        return
    timed = study.equal == "wall_clock"
    unit = " s" if timed else ""
    lines = [f"  {name}: {amount:.4g}{unit}" for name, amount in amounts.items()]
    remedies = [
        f"  {name}: training.steps = {round(costs[name].steps * wanted / amounts[name])}"
        for name in wrong
        if amounts[name] and wanted and study.equal != "active_parameters"
    ]
    raise UserError(
        f"study {study.name} says equal = {what!r}, but its cells differ by more than "
        f"{within:.0%}:\n"
        + "\n".join(lines)
        + (f"\nequal to {first!r} would be:\n" + "\n".join(remedies) if remedies else "")
        + "\nChange the cells, or say what is equal between them"
        + "; other work on this machine changes what is measured here" * timed
    )


def quantity(study: StudySettings) -> tuple[str, Callable[[Cost], float]]:
    """Returns the name of what is equal between the cells, and its amount as a function of cost."""
    equal, source = study.equal, study.equal_source
    if equal == "source":
        return f"tokens of {source}", lambda cost: cost.source_tokens.get(source, 0.0)
    if equal == "wall_clock":
        return equal, lambda cost: cost.seconds or 0.0
    assert equal is not None
    return equal, lambda cost: getattr(cost, equal)


def _of_one_step(study: StudySettings, cost: Cost, amount: float) -> float:
    """Returns the amount of one step, which no number of steps can correct."""
    return 0.0 if study.equal == "active_parameters" else amount / cost.steps


def _step_seconds(cell: Cell, shared: Shared, threads: int) -> float:
    return seconds_per_step(
        cell.recipe, shared.material(cell), inputs=shared.inputs(cell), threads=threads
    )
