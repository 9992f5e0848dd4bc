"""Cells that begin with the checkpoint of a longer one.

With the schedule ``wsd`` the learning rate stays up until the last steps, so that runs of several
lengths, equal in everything else, are one run up to where the first of them begins to fall. The
longest is trained, and the others go on from its checkpoints: the same bits as if each had been
trained by itself, for less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.loop.schedule import stable_steps
from chiasm.studies.cells import Cell, content_hash


@dataclass(frozen=True)
class Branch:
    """Where a cell leaves a longer one."""

    trunk: str
    """Key of the longer cell."""
    step: int
    """Steps that both have in common."""


def branches(
    cells: Iterable[Cell], has: Callable[[Cell, int], bool] = lambda cell, step: True
) -> dict[str, Branch]:
    """Returns by key where each cell leaves the longest one that it begins with.

    Args:
        cells: of a study.
        has: whether a cell has, or will have, the checkpoint after so many steps.
    """
    families: dict[str, list[Cell]] = {}
    for cell in cells:
        if _stays_up(cell):
            families.setdefault(_kind(cell), []).append(cell)
    found = {}
    for family in families.values():
        family.sort(key=_common_steps, reverse=True)
        for number, cell in enumerate(family):
            step = _common_steps(cell)
            trunk = next((own for own in family[:number] if has(own, step)), None)
            if trunk is not None and trunk.key != cell.key:
                found[cell.key] = Branch(trunk.key, step)
    return found


def trained(cells: Iterable[Cell], amounts: Mapping[str, float]) -> float:
    """Returns the sum over cells of what each takes, by key, without what is trained already."""
    unique = {cell.key: cell for cell in cells}
    left_out = {
        key: own.step / unique[key].recipe.training.steps
        for key, own in branches(unique.values()).items()
    }
    return sum(amounts[key] * (1.0 - left_out.get(key, 0.0)) for key in unique)


def _stays_up(cell: Cell) -> bool:
    settings = cell.recipe.training.schedule
    begins = cell.recipe.initialize.branch is None
    return settings.shape == "wsd" and begins and _common_steps(cell) > settings.warmup_steps


def _common_steps(cell: Cell) -> int:
    training = cell.recipe.training
    return stable_steps(training.schedule, training.steps)


def _kind(cell: Cell) -> str:
    """Hash of what a cell has learned before its learning rate falls."""
    content: dict[str, Any] = cell.recipe.model_dump(mode="json")
    for name in ("name", "imports", "evaluation"):
        del content[name]
    del content["training"]["steps"], content["training"]["schedule"]["decay_steps"]
    return content_hash([content, cell.inputs_key])
