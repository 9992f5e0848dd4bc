"""Display of a study: its plan, its costs, and the running cells."""

from __future__ import annotations

import os
import time
from pathlib import Path

from chiasm.cli.progress import RunDisplay
from chiasm.device import choose_device
from chiasm.recipe import load_recipe
from chiasm.report.doc import Table
from chiasm.report.numbers import duration, short_count
from chiasm.studies.branches import trained
from chiasm.studies.cells import Cell
from chiasm.studies.collect import last_step
from chiasm.studies.plan import Cost, refuse_off_budget
from chiasm.studies.planned import Planned, plan
from chiasm.studies.runner import StudyProgress
from chiasm.studies.settings import StudySettings

SHOW_SECONDS = 1.0
"""Interval between updates of the running cells."""


def chosen_slots(study: StudySettings, given: int | None) -> int:
    """Returns the cells at once: on a CPU one per core if none are ``given``, on a GPU one.

    With one thread a cell also gives the same bits, however many cores there are.
    """
    if given:
        return given
    device = study.set.get("training.device", load_recipe(study.recipe).training.device)
    return (os.cpu_count() or 1) if choose_device(str(device)).type == "cpu" else 1


def planned_study(
    study: StudySettings,
    folder: Path,
    slots: int,
    cache: Path | None,
    display: RunDisplay,
    *,
    measure_time: bool,
) -> Planned:
    """Returns a study's cells and their costs; refuses those that miss its budgets."""
    load_recipe(study.recipe)  # a mistake of the base recipe is reported with its own name
    planned = plan(
        study,
        folder,
        slots=slots,
        measure_time=measure_time,
        cache_folder=cache,
        on_stage=display.on_stage,
    )
    refuse_off_budget(study, planned.cells, planned.costs)
    return planned


def plan_table(planned: Planned) -> Table:
    """Returns a row per cell: its seeds, steps, tokens, FLOPs, parameters and time."""
    rows = []
    for name in dict.fromkeys(cell.name for cell in planned.cells):
        own = [cell for cell in planned.cells if cell.name == name]
        rows.append(_plan_row(name, own, planned.costs[own[0].key], planned))
    columns = ("cell", "seeds", "steps", "tokens: all, text, vision", "FLOPs", "active", "time")
    return Table(rows, columns)


def _plan_row(name: str, own: list[Cell], cost: Cost, planned: Planned) -> list[str]:
    same = next((c.name for c in planned.cells if c.key == own[0].key and c.name != name), None)
    tokens = (cost.tokens, cost.text_tokens, cost.vision_tokens)
    return [
        f"{name} (the same run as {same})" if same else name,
        str(len(own)),
        str(cost.steps),
        ", ".join(short_count(value) for value in tokens),
        f"{cost.flops:.3g}",
        f"{short_count(cost.active_parameters)} of {short_count(cost.total_parameters)}",
        duration(cost.seconds or 0.0),
    ]


def total(planned: Planned, slots: int) -> str:
    """Returns the sum of all cells in words."""
    costs = {cell.key: planned.costs[cell.key] for cell in planned.cells}
    seconds = {key: cost.seconds or 0.0 for key, cost in costs.items()}
    cpu_seconds = {key: own * (costs[key].threads or 1) for key, own in seconds.items()}
    flops = {key: cost.flops for key, cost in costs.items()}
    seconds_left, cpu_left, flops_left = (
        trained(planned.cells, own) for own in (seconds, cpu_seconds, flops)
    )
    on_gpu = planned.cells[0].recipe.training.device.startswith("cuda")
    hours = f"{seconds_left / 3600:.2f} GPU-" if on_gpu else f"{cpu_left / 3600:.2f} CPU-"
    all_flops = sum(flops.values())
    told = f"{all_flops:.3g} FLOPs"
    if flops_left < all_flops:
        told += f" ({flops_left / all_flops:.0%} of them trained: cells share their first steps)"
    return (
        f"{len(costs)} runs, {told}, {hours}hours of training, about "
        f"{duration(seconds_left / slots)} with {slots} at once; measuring and starting come on top"
    )


class CellsShown:
    """One bar for all cells, and one for each running cell."""

    def __init__(self, planned: Planned, display: RunDisplay) -> None:
        self._planned, self._display = planned, display
        self._looked = -SHOW_SECONDS
        self._counts = (-1, -1, -1)

    def on_progress(self, progress: StudyProgress) -> None:
        """Shows the progress of the cells, once a second and when one begins or ends."""
        counts = (len(progress.waiting), len(progress.running), len(progress.failed))
        if counts == self._counts and time.monotonic() - self._looked < SHOW_SECONDS:
            return
        self._looked, self._counts = time.monotonic(), counts
        done = len(progress.finished) + len(progress.failed)
        self._display.on_stage("cells", done, len(progress.cells))
        running = {job.key: job for job in progress.running}
        for key, job in running.items():
            cell = progress.cells[key]
            self._display.on_stage(cell.title, last_step(job.folder), cell.recipe.training.steps)
        for key, cell in progress.cells.items():
            if key not in running:
                self._display.forget(cell.title)
