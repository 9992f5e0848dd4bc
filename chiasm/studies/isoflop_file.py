"""A plan as a study file, which the runner runs like any other."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from chiasm.studies.isoflop import Plan

STUDY_NAME = re.compile(r"[\w.-]+")


def write_study(
    plan: Plan,
    path: Path,
    recipe_path: Path,
    num_seeds: int,
    modalities: Sequence[str],
    overrides: Sequence[str] = (),
) -> None:
    """Write the plan as a study file; the recipe is named relative to it.

    ``overrides`` of the recipe, as ``dotted.name=value``, hold for all cells.
    """
    relative = os.path.relpath(recipe_path.resolve(), path.resolve().parent)
    metrics = {"text": "text_loss", "vision": "flow_loss"}
    lines = [
        "# An IsoFLOP study, made by chiasm scaling plan: each cell spends its budget.",
        f"# {plan.rule}.",
        "",
        f"name = {json.dumps(path.stem)}",
        'question = "Which size is best for each modality at each compute budget?"',
        f"recipe = {json.dumps(relative)}",
        f"seeds = {list(range(num_seeds))}",
        *(f"\n# {warning}" for warning in plan.warnings),
        *(["", "[set]"] if overrides else []),
        *(_setting(override) for override in overrides),
    ]
    for modality in modalities:
        lines += [
            "",
            "[[metrics]]",
            f'name = "loss_{modality}"',
            f'validation = "{metrics[modality]}"',
        ]
    for cell in plan.cells:
        lines += [
            "",
            f"# {cell.shape.active_parameters} active of {cell.shape.total_parameters} parameters,"
            f" {cell.tokens:.4g} positions, {cell.flops:.6g} FLOPs",
            "[[cells]]",
            f"name = {json.dumps(cell.name)}",
            f"budget_flops = {cell.budget_flops!r}",
            "[cells.set]",
            *(f"{json.dumps(name)} = {value!r}" for name, value in cell.overrides.items()),
        ]
    path.write_text("\n".join(lines) + "\n")


def _setting(override: str) -> str:
    name, _, text = override.partition("=")
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:  # a bare string, as --set takes it
        text = json.dumps(text.strip())
    return f"{json.dumps(name.strip())} = {text.strip()}"
