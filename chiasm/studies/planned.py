"""A study ready to run: its cells, what they share, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chiasm.data.preparation import Stage, silent
from chiasm.errors import UserError
from chiasm.studies.branches import Branch
from chiasm.studies.cell import Order, write_order
from chiasm.studies.cells import Cell, expand
from chiasm.studies.data import FILE, DataFingerprints
from chiasm.studies.held_out import refuse_leaks
from chiasm.studies.launcher import threads_per_slot
from chiasm.studies.plan import Costs, plan_study, refuse_unequal
from chiasm.studies.settings import StudySettings
from chiasm.studies.shared import Shared


@dataclass(frozen=True)
class Planned:
    """A study ready to run: its cells, tokenizers and data, and their costs."""

    study: StudySettings
    folder: Path
    cells: list[Cell]
    shared: Shared
    costs: Costs

    def folder_of(self, cell: Cell) -> Path:
        """Returns the cell's own folder."""
        return cell_folder(self.folder, cell.key)

    def order(
        self,
        cell: Cell,
        beside: Iterable[str] = (),
        branch: Branch | None = None,
        kept_steps: Iterable[int] = (),
    ) -> Order:
        """Writes and returns the order of the cell's process.

        Args:
            cell: to train and measure.
            beside: keys of the cells that train with it.
            branch: where it leaves another cell.
            kept_steps: where others leave it.
        """
        inputs = self.shared.inputs_folder(cell)
        order = Order.of(self.study, cell, inputs, beside, branch, kept_steps)
        return write_order(cell, self.folder_of(cell), order)


def plan(
    study: StudySettings,
    folder: Path,
    *,
    slots: int = 1,
    measure_time: bool,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
) -> Planned:
    """Expands a study, makes what its cells share, and counts what they cost.

    Args:
        study: what to compare.
        folder: the study's folder.
        slots: cells at once, which share the cores.
        measure_time: measure training steps; a study of equal wall-clock always does.
        cache_folder: where rendered worlds are kept.
        on_stage: callback for progress.

    Raises:
        UserError: cells that are no valid recipes, or are not equal in what they should be.
    """
    refuse_foreign_folder(folder)
    data = DataFingerprints(folder)
    cells = expand(study, data)
    refuse_leaks([cell.recipe for cell in cells], study.held_out)
    for path in data.changed:
        on_stage(f"{path}: its data have changed; cells run again on the new ones", 1, 1)
    data.write()
    shared = Shared(folder, cache_folder, on_stage)
    shared.prepare(cells)
    threads = threads_per_slot(slots)
    by_clock = study.equal == "wall_clock"
    costs = plan_study(cells, shared, threads=threads if by_clock else None, on_stage=on_stage)
    refuse_unequal(study, cells, costs)
    if measure_time:
        costs = plan_study(cells, shared, threads=threads, on_stage=on_stage)
    return Planned(study, folder, cells, shared, costs)


def cell_folder(folder: Path, key: str) -> Path:
    """Returns the folder in which a study keeps the cell of a content hash."""
    return folder / "cells" / key


def refuse_foreign_folder(folder: Path) -> None:
    """Refuses a folder that is neither new, nor empty, nor a study's.

    Raises:
        UserError: the folder holds something else.
    """
    known = {"inputs", "cells", "lock", FILE}
    holds = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (folder.exists() and not folder.is_dir()) or (holds and not holds & known):
        raise UserError(f"{folder} exists and holds no study; give another folder with --out")
