"""What a study will cost, and whether its cells are equal in what they should be equal in.

A cell's tokens and FLOPs are counted, not guessed: the first batches of its own stream are packed,
the model's modules count what those cost from their shapes and the mask's own pairs, and the rest
of the run is taken to be alike. Time is that of training steps measured on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from chiasm.assembly import build_stream, seconds_per_step
from chiasm.assembly.objects import Stage, silent
from chiasm.data import Modality, PackedBatch
from chiasm.errors import UserError
from chiasm.model import Decoder
from chiasm.model.work import FORWARD_AND_BACKWARD, Work
from chiasm.studies.cells import Cell
from chiasm.studies.settings import EQUAL_SECONDS_WITHIN, EQUAL_WITHIN, StudySettings
from chiasm.studies.shared import Shared

COUNTED_BATCHES = 64
"""Batches of a cell's stream that are counted; a shorter run is counted whole."""


@dataclass(frozen=True)
class Cost:
    """What one run takes, forward and backward."""

    steps: int
    flops: float
    tokens: float
    """Positions that are not padding."""
    text_tokens: float
    """Those of them that hold text or a sign around an image."""
    vision_tokens: float
    """Those of them that hold a latent token."""
    source_tokens: Mapping[str, float]
    """Positions of each source."""
    active_parameters: int
    total_parameters: int
    seconds: float | None = None
    """Of training, from measured steps; None: not measured."""
    threads: int | None = None
    """That the steps were measured with."""


Costs = Mapping[str, Cost]
"""By the content hash of the cell."""


def plan_study(
    cells: Sequence[Cell],
    shared: Shared,
    *,
    threads: int | None = None,
    on_stage: Stage = silent,
) -> dict[str, Cost]:
    """The cost of every cell; what was counted or measured before is read from the study's folder.

    Args:
        cells: of the study.
        shared: their tokenizers and data.
        threads: measure steps with as many threads; None measures no time.
        on_stage: is told how far it is.
    """
    known = read_costs(shared.folder)
    seconds_of_name: dict[str, float] = {}  # other seeds of a cell take as long
    for number, cell in enumerate(cells):
        on_stage("counting cells", number, len(cells))
        cost = known.get(cell.key) or count(cell, shared)
        if threads not in (None, cost.threads):
            seconds = seconds_of_name.get(cell.name)
            if seconds is None:
                seconds = cost.steps * _step_seconds(cell, shared, threads)
            seconds_of_name[cell.name] = seconds
            cost = replace(cost, seconds=seconds, threads=threads)
        known[cell.key] = cost
    on_stage("counting cells", len(cells), len(cells))
    _write(known, shared.folder / "plan.json")
    return {cell.key: known[cell.key] for cell in cells}


def read_costs(folder: Path) -> dict[str, Cost]:
    """What was counted in a study's folder before."""
    try:
        found = json.loads((folder / "plan.json").read_text())
        return {key: Cost(**cost) for key, cost in found.items()}
    except (OSError, ValueError, TypeError):  # a new study, or another version's file
        return {}


def count(cell: Cell, shared: Shared) -> Cost:
    """Tokens, FLOPs and parameters of one cell, without training it."""
    recipe, inputs = cell.recipe, shared.inputs(cell)
    decoder = Decoder(
        recipe.model,
        vocabulary=inputs.text_tokenizer.vocabulary_size,
        latent_channels=inputs.vision_tokenizer.channels,
        context_channels=inputs.vision_tokenizer.context_channels,
        seed=recipe.seed,
    )
    all_batches = recipe.training.steps * recipe.training.batches_per_step
    stream = build_stream(recipe, shared.material(cell).train, inputs, recipe.seed)
    try:
        batches = list(islice(stream, min(all_batches, COUNTED_BATCHES)))
    finally:
        stream.close()
    scale = all_batches / len(batches)
    flops = FORWARD_AND_BACKWARD * sum(decoder.forward_flops(Work.useful(b)) for b in batches)
    vision = scale * sum(int((b.modality_BT == Modality.VISION).sum()) for b in batches)
    tokens = scale * sum(batch.num_filled for batch in batches)
    parameters = decoder.count_parameters()
    return Cost(
        steps=recipe.training.steps,
        flops=scale * flops,
        tokens=tokens,
        text_tokens=tokens - vision,
        vision_tokens=vision,
        source_tokens={name: scale * n for name, n in _source_tokens(batches).items()},
        active_parameters=parameters.active,
        total_parameters=parameters.total,
    )


def refuse_unequal(study: StudySettings, cells: Sequence[Cell], costs: Costs) -> None:
    """Refuse cells that differ in what the study says is equal; each budget is compared by itself.

    Raises:
        UserError: the message has every cell's number, and the steps that would make them equal.
    """
    if study.equal is None:
        return
    named = {cell.name: cell for cell in reversed(cells)}
    for budget in dict.fromkeys(cell.budget_flops for cell in cells):
        group = [cell for cell in reversed(named.values()) if cell.budget_flops == budget]
        _refuse_group(study, {cell.name: costs[cell.key] for cell in group})


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
    lines = [f"  {name}: {amount:.4g}" for name, amount in amounts.items()]
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
    )


def quantity(study: StudySettings) -> tuple[str, Callable[[Cost], float]]:
    """The name of what is equal between the cells, and a cost's amount of it."""
    equal, source = study.equal, study.equal_source
    if equal == "source":
        return f"tokens of {source}", lambda cost: cost.source_tokens.get(source, 0.0)
    if equal == "wall_clock":
        return equal, lambda cost: cost.seconds or 0.0
    assert equal is not None
    return equal, lambda cost: getattr(cost, equal)


def _of_one_step(study: StudySettings, cost: Cost, amount: float) -> float:
    """What no number of steps could mend."""
    return 0.0 if study.equal == "active_parameters" else amount / cost.steps


def _source_tokens(batches: Sequence[PackedBatch]) -> dict[str, int]:
    names = batches[0].source_names
    numbers = torch.cat([batch.source_BT[batch.source_BT >= 0] for batch in batches])
    return dict(zip(names, torch.bincount(numbers, minlength=len(names)).tolist(), strict=True))


def _step_seconds(cell: Cell, shared: Shared, threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return seconds_per_step(cell.recipe, shared.material(cell), inputs=shared.inputs(cell))
    finally:
        torch.set_num_threads(before)


def _write(costs: Costs, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps({key: asdict(cost) for key, cost in costs.items()}, indent=1))
    aside.replace(path)
