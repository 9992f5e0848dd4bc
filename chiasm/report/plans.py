"""plans.json, trajectories for evo, and a contact sheet of each scene that is shown."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chiasm.actions import PREFIX
from chiasm.evaluation.planning import PlannedScene
from chiasm.evaluation.rows import Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.report.files import writing
from chiasm.report.page import row_record
from chiasm.report.pictures import INK, LARGE_PIXELS, PAPER, SOFT, enlarged
from chiasm.report.record import json_text
from chiasm.whole import write_whole
from chiasm.worldmodel.planner import Plan
from chiasm.worldmodel.trajectory import write_tum

GAP_PIXELS = 10
LINE_PIXELS = 20

TrueEnds = Sequence[Mapping[str, np.ndarray]]
"""For each shown scene, planner → the engine's view at the end of its plan, uint8 [H, W, 3]."""


def write_plans(
    folder: Path,
    planned: Sequence[PlannedScene],
    rows: Sequence[Row],
    settings: EvaluationSettings,
    command: str,
    true_ends: TrueEnds,
) -> None:
    """Writes all files; those of an earlier call are replaced.

    Args:
        folder: made where it is missing.
        planned: every scene; the first ones, as many as ``true_ends``, get a sheet.
        rows: of the table.
        settings: of the measurement.
        command: as the user typed it.
        true_ends: empty mappings where no engine renders them.

    Raises:
        UserError: the folder cannot be written.
    """
    record = {
        "rows": [row_record(row) for row in rows],
        "scenes": [_scene_record(each) for each in planned],
        "settings": settings,
        "command": command,
    }
    with writing("the plans", folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_earlier(folder)
        write_whole(folder / "plans.json", json_text(record, indent=1))
        for number, each in enumerate(planned):
            place = folder / "trajectories" / f"scene-{number:03d}"
            place.mkdir(parents=True, exist_ok=True)
            write_tum(each.scene.truth, place / "truth.tum")
            for name, poses in each.trajectories.items():
                write_tum(poses, place / f"{name.replace(' ', '-')}.tum")
        for number, ends in enumerate(true_ends):
            sheet(planned[number], ends).save(folder / f"scene-{number:03d}.png", optimize=True)


def _remove_earlier(folder: Path) -> None:
    """Removes scenes of an earlier call, which may have planned more, with other settings."""
    for trajectory in folder.glob("trajectories/scene-*"):
        shutil.rmtree(trajectory)
    for picture in folder.glob("scene-*.png"):
        picture.unlink()


def sheet(planned: PlannedScene, true_ends: Mapping[str, np.ndarray]) -> Image.Image:
    """Returns the start above the goal and, by planner, the imagined end above the true view."""
    columns = [[("start", planned.scene.context.views[-1]), ("goal", planned.scene.goal_HW3)]]
    for name, plan in planned.plans.items():
        column = [(f"{name}: imagined end", plan.views_SHW3[-1])]
        if name in true_ends:
            ate = planned.errors[name].ate_metres
            column.append((f"true view there, ATE {ate:.2f} m", true_ends[name]))
        columns.append(column)
    return _page(columns, 2)


def strip(start_HW3: np.ndarray, goal_HW3: np.ndarray, plan: Plan) -> Image.Image:
    """Returns the start, each imagined view with its action, and the goal, in one row."""
    columns = [[("start", start_HW3)]]
    for text, view in zip(plan.actions, plan.views_SHW3, strict=True):
        columns.append([(text.removeprefix(PREFIX), view)])
    return _page([*columns, [("goal", goal_HW3)]], 1)


def write_strip(folder: Path, start_HW3: np.ndarray, goal_HW3: np.ndarray, plan: Plan) -> Path:
    """Writes the strip of a plan between two images as ``plan.png``; returns its path.

    Raises:
        UserError: the folder cannot be written.
    """
    path = folder / "plan.png"
    with writing(path.name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        strip(start_HW3, goal_HW3, plan).save(path, optimize=True)
    return path


def _page(columns: Sequence[Sequence[tuple[str, np.ndarray]]], num_rows: int) -> Image.Image:
    cell_width, cell_height = LARGE_PIXELS + GAP_PIXELS, LARGE_PIXELS + LINE_PIXELS + GAP_PIXELS
    size = (len(columns) * cell_width + GAP_PIXELS, num_rows * cell_height + GAP_PIXELS)
    page = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for x, column in enumerate(columns):
        for y, (label, pixels) in enumerate(column):
            left, top = GAP_PIXELS + x * cell_width, GAP_PIXELS + y * cell_height
            picture = enlarged(pixels)
            picture.thumbnail((LARGE_PIXELS, LARGE_PIXELS))
            page.paste(picture, (left, top))
            draw.text((left, top + LARGE_PIXELS + 2), label, INK if y == 0 else SOFT, font)
    return page


def _scene_record(planned: PlannedScene) -> dict[str, object]:
    scene = planned.scene
    return {
        "frame": scene.frame,
        "place": scene.place,
        "goal_in_sight": scene.goal_in_sight,
        "start": scene.start,
        "truth": scene.truth,
        "plans": {
            name: {
                "actions": plan.actions,
                "poses": planned.trajectories[name],
                "cost": plan.cost,
                "best_costs": plan.best_costs,
                **asdict(planned.errors[name]),
            }
            for name, plan in planned.plans.items()
        },
    }
