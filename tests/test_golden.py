"""Losses of two tiny runs are what they were: a dense model and a mixture of experts.

The files of ``golden/`` say on which machine and by which command they were made; that command
writes them anew, after a change that is meant to change them.
"""

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import load_recipe

GOLDEN = Path(__file__).with_name("golden")
LOSSES = ("loss", "text_loss", "flow_loss")
COMMAND = "pytest tests/test_golden.py --golden"

RECIPES = {
    "dense": ('model.experts="modality"', "objective.shift=2.0"),
    "mixture": (
        'model.experts="moe"',
        'model.moe={num_experts=8, granularity=4, shared_experts="modality", dense_blocks=1}',
        "training.router_bias_rate=0.01",
        "objective.router_z_weight=0.001",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_losses_are_what_they_were(
    name: str, tiny_recipe: Callable[..., Path], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    common = (
        "training.steps=20",
        "stream.batch_size=8",
        "model.depth=2",
        "model.feedforward_width=32",
    )
    recipe = load_recipe(tiny_recipe(tmp_path / "recipe.toml", *common, *RECIPES[name]))
    train_run(recipe, tmp_path / "run", tell=lambda line: None)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    steps = [line for line in lines if line["phase"] == "train"]
    found = {loss: [line.get(loss) for line in steps] for loss in LOSSES}  # None: no target
    assert len(steps) == 20
    assert all(losses.count(None) < 3 for losses in found.values())
    path = GOLDEN / f"{name}.json"
    if pytestconfig.getoption("golden"):
        made = {"command": COMMAND, "machine": machine(), "losses": found}
        path.write_text(json.dumps(made, indent=1) + "\n")
    kept = json.loads(path.read_text())
    for loss in LOSSES:
        assert found[loss] == pytest.approx(kept["losses"][loss], rel=1e-4), kept["machine"]


def machine() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} with {capability}, torch {torch.__version__}, {sys.platform}"
